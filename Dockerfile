# metacli for the CPU:
#   docker build -t metacli .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" metacli adapt my_photos -o mine
# pip looks where the builder's configuration says; an index with PyTorch for the CPU alone makes the image a tenth:
#   docker build --build-arg PIP_EXTRA_INDEX_URL=ADDRESS -t metacli .
FROM python:3.12-slim
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY metacli metacli
COPY recipes recipes
RUN python -m pip install --no-cache-dir '.[onnx]'
ENV METACLI_CACHE=/cache HOME=/tmp
RUN mkdir -m 1777 /cache && metacli doctor
WORKDIR /work
ENTRYPOINT ["metacli"]
