# One image for the whole suite; the command picks the process:
#   docker run IMAGE services.xref          docker run IMAGE sandbox --listen 0.0.0.0:8080 --instances BRM_01
FROM python:3.11-slim AS build
WORKDIR /src
# The dependencies first: they change less often than the code, so this layer is kept.
COPY requirements.lock deploy/install.sh ./
RUN sh install.sh dependencies /src /opt/o2c
COPY protos/service_config.json protos/
COPY cli cli
COPY libs libs
COPY sandbox sandbox
COPY services services
RUN sh install.sh code /src /opt/o2c

FROM python:3.11-slim
COPY --from=build /opt/o2c /opt/o2c
ENV PATH=/opt/o2c/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# Numeric, so that Kubernetes can tell that it is not root.
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["python", "-m"]
CMD ["services.xref"]
