# docker build -t dtl . && docker run --rm -v "$PWD/results:/dtl/results" dtl --env ddxplus --agent cbr
# With a GPU: docker run --gpus all. An LLM server on the host: --network host --llm NAME --port PORT.
FROM python:3.12-slim

# git: the commit that a run records, where .git is copied; bubblewrap: the sandbox of the task ehr
RUN apt-get update && apt-get install -y --no-install-recommends git bubblewrap && rm -rf /var/lib/apt/lists/*

WORKDIR /dtl
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
RUN pip install --no-cache-dir --no-deps -e .

ENTRYPOINT ["python", "main.py"]
CMD ["--help"]
