# The server in a container: the page at / and the routes of docs/serving.md, for whoever has a key.
#
#     docker build --tag fullclip .
#     docker run --publish 8000:8000 --env FULLCLIP_API_KEYS=$(openssl rand -hex 24) --volume fullclip-cache:/cache fullclip
#
# What follows the image's name goes to `fullclip serve`: --model openai/ViT-B-32 --index /index, with --volume /my/index:/index.
# Without a key it does not start; --no-api-keys is for a container that something else keeps the door of.

FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/fullclip/bin:$PATH
RUN python -m venv /opt/fullclip
WORKDIR /source
# --build-arg TORCH_INDEX=URL takes PyTorch from there: its builds for processors alone make the image gigabytes smaller
ARG TORCH_INDEX=
COPY constraints.txt ./
RUN pip install --no-deps --constraint constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip install --constraint constraints.txt '.[serve,search]'

FROM python:3.11-slim
RUN useradd --uid 1000 --create-home --shell /usr/sbin/nologin fullclip && install --directory --owner fullclip /cache
COPY --from=build /opt/fullclip /opt/fullclip
ENV PATH=/opt/fullclip/bin:$PATH FULLCLIP_CACHE=/cache HF_HOME=/cache/huggingface PYTHONUNBUFFERED=1
USER fullclip
WORKDIR /home/fullclip
VOLUME /cache
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["fullclip", "serve", "--host", "0.0.0.0", "--port", "8000"]
