#!/bin/sh
# The install steps of the image, apart from the Dockerfile so that a test can take them in a clean virtual environment.
#
#   install.sh dependencies SOURCE TARGET   make TARGET, a virtual environment with exactly what requirements.lock pins
#   install.sh code SOURCE TARGET           copy the packages in SOURCE into it and compile them
#
# PYTHON picks the interpreter (default: python3). TARGET gets no pip: nothing is ever installed into a running container.
set -eu

step=$1 source=$2 target=$3
python=${PYTHON:-python3}

case $step in
dependencies)
  "$python" -m venv --without-pip "$target"
  "$python" -m pip --python "$target/bin/python" --disable-pip-version-check --no-input \
    install --quiet --no-cache-dir --only-binary :all: --require-hashes -r "$source/requirements.lock"
  ;;
code)
  site=$("$target/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  for package in cli libs sandbox services; do
    cp -R "$source/$package" "$site/"
  done
  # Channels read it beside their code; in the repository it belongs to the contract.
  cp "$source/protos/service_config.json" "$site/libs/grpckit/"
  "$target/bin/python" -m compileall -q -j 0 "$site"
  ;;
*)
  echo "install.sh: no step $step" >&2
  exit 2
  ;;
esac
