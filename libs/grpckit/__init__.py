"""What every gRPC server and client of the suite shares.

- :mod:`~libs.grpckit.server`: ``serve`` (a process), ``running_server`` (a test), ``main`` (an entry point)
- :mod:`~libs.grpckit.channel`: ``open_channel`` towards another service, ``budget`` of a call
- :mod:`~libs.grpckit.status`: errors to ``google.rpc.Status`` and back
- :mod:`~libs.grpckit.context`: the running call's request id, deadline and caller
- :mod:`~libs.grpckit.wire`: strict reading of messages and JSON; :mod:`~libs.grpckit.redact`: showing them without secrets
- :mod:`~libs.grpckit.auth`, :mod:`~libs.grpckit.tls`: who may call, and encryption
"""
