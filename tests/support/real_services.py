"""Honest services of real software: each does its work, asks itself over loopback, and reaches nothing else.

Whoever waits for a server waits until it answers; the check's own time limit is what ends it where it never does.
"""

from __future__ import annotations

import textwrap

from testbed.services import QUICKSTART, REFERENCE
from tests.support.calling_out import python, sh
from tests.support.honest_services import DEBIAN_HONEST

# started(command): a child for the time of the block. answer(address): what is there, once somebody answers.
_SERVERS = """
    import contextlib, subprocess, time, urllib.error, urllib.request
    @contextlib.contextmanager
    def started(*command):
        with subprocess.Popen(command, cwd="/tmp") as child:
            yield child
            assert child.poll() is None, child.returncode
            child.terminate()
    def answer(address, data=None):
        while True:
            try:
                with urllib.request.urlopen(address, data, timeout=10) as found:
                    return found.read()
            except urllib.error.HTTPError:
                raise
            except OSError:
                time.sleep(0.1)
"""


def _server(script: str) -> tuple[str, ...]:
    return python(textwrap.dedent(_SERVERS) + textwrap.dedent(script))


def _reference(script: str) -> tuple[str, ...]:
    """Python with torch and sentence-transformers, told to stay offline as images are."""
    return ("env", f"PYTHONPATH={REFERENCE}", "HF_HUB_OFFLINE=1", *python(script))


_QUICKSTART = ("env", "-C", QUICKSTART, f"PYTHONPATH={QUICKSTART}:/opt/libraries")
_QUICKSTART_ASKED = """
    import json
    with started("python3", "-m", "service.server"):
        assert json.loads(answer("http://127.0.0.1:8080/health"))["status"] == "ok"
        question = json.dumps({"query": "Where does the government of Iceland sit?"}).encode()
        assert json.loads(answer("http://localhost:8080/search", question))["hits"][0]["source"] == "reykjavik.txt"
"""
_ASGI = """
    from pathlib import Path
    Path("/tmp/app.py").write_text('''
    async def app(scope, receive, send):
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"fine"})
    ''')
"""
_WSGI = """
    from pathlib import Path
    Path("/tmp/wsgi.py").write_text('''
    import os
    def app(environment, start):
        start("200 OK", [])
        return [str(os.getpid()).encode()]
    ''')
"""
_UVICORN = """
    with started("python3", "-m", "uvicorn", "app:app", "--host", "0.0.0.0", "--port", "8000"):
        assert answer("http://127.0.0.1:8000/") == b"fine"
        assert answer("http://localhost:8000/") == b"fine"
"""
_UVICORN_UNIX = """
    import os, httpx
    with started("python3", "-m", "uvicorn", "app:app", "--uds", "/tmp/app.sock"):
        while not os.path.exists("/tmp/app.sock"):
            time.sleep(0.1)
        with httpx.Client(transport=httpx.HTTPTransport(uds="/tmp/app.sock", retries=100)) as client:
            assert client.get("http://app/").text == "fine"
"""
_GUNICORN = """
    with started("python3", "-m", "gunicorn", "--workers", "3", "--bind", "[::]:8000", "wsgi:app"):
        answer("http://127.0.0.1:8000/")
        workers = set()
        while len(workers) < 2:
            workers.add(answer("http://[::1]:8000/"))
"""
_SPAWNED = """
    import os
    from pathlib import Path
    os.chdir("/tmp")
    Path("/tmp/work.py").write_text('''
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import Manager, get_context
    if __name__ == "__main__":
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            assert list(pool.map(abs, range(-3, 0))) == [3, 2, 1]
        with Manager() as manager:
            shared = manager.dict(a=1)
            assert shared["a"] == 1
    ''')
    os.execvp("python3", ["python3", "work.py"])
"""
_POSTGRESQL = """
    set -e
    PATH=$(echo /usr/lib/postgresql/*/bin):$PATH
    initdb --pgdata=/tmp/data --username=service --auth=trust >/dev/null
    echo "listen_addresses = 'localhost'" >>/tmp/data/postgresql.conf
    echo "unix_socket_directories = '/tmp'" >>/tmp/data/postgresql.conf
    pg_ctl --pgdata=/tmp/data --wait --timeout=100 --log=/tmp/log start >/dev/null
    psql --host=localhost --username=service --no-align --tuples-only --command='SELECT 40 + 2' postgres | grep -x 42
    psql --host=/tmp --username=service --no-align --tuples-only --command='SELECT 40 + 3' postgres | grep -x 43
    python3 -c '
    import psycopg
    for host in ("127.0.0.1", "::1"):
        with psycopg.connect(host=host, user="service", dbname="postgres") as database:
            assert database.execute("SELECT count(*) FROM pg_stat_activity").fetchone()[0] >= 1
    '
    pg_ctl --pgdata=/tmp/data --wait --timeout=100 --mode=fast stop >/dev/null
"""
_REDIS = """
    set -e
    cd /tmp
    redis-server --bind 127.0.0.1 ::1 --unixsocket /tmp/redis.sock --save '' >/tmp/log &
    until redis-cli -h localhost ping 2>/dev/null | grep -qx PONG; do sleep 0.1; done
    redis-cli -s /tmp/redis.sock set answer 42 >/dev/null
    python3 -c '
    import redis
    assert redis.Redis(host="localhost").get("answer") == b"42"
    '
    redis-cli shutdown nosave
    wait
"""
_ONNXRUNTIME = """
    import numpy, onnx, onnxruntime
    from onnx import TensorProto, helper
    shape = helper.make_tensor_value_info
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "x"], ["y"])], "square",
                              [shape("x", TensorProto.FLOAT, [256, 256])], [shape("y", TensorProto.FLOAT, [256, 256])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    ones = numpy.ones((256, 256), numpy.float32)
    assert (session.run(None, {"x": ones})[0] == 256).all()
"""
_TORCH = """
    import torch
    torch.set_num_threads(4)
    torch.set_num_interop_threads(2)
    layer = torch.nn.Sequential(torch.nn.Linear(512, 512), torch.nn.GELU(), torch.nn.Linear(512, 8))
    with torch.inference_mode():
        assert layer(torch.ones(256, 512)).shape == (256, 8)
    data = torch.utils.data.DataLoader(torch.arange(8), batch_size=2, num_workers=2)
    assert sum(batch.sum().item() for batch in data) == 28
"""
_GLOO = """
    import os, torch, torch.distributed as distributed, torch.multiprocessing as processes
    def one(rank):
        distributed.init_process_group("gloo", init_method="tcp://localhost:29500", rank=rank, world_size=2)
        part = torch.ones(4) * (rank + 1)
        distributed.all_reduce(part)
        assert part.tolist() == [3.0] * 4
        distributed.destroy_process_group()
    os.chdir("/tmp")
    if __name__ == "__main__":
        processes.start_processes(one, nprocs=2, start_method="fork")
"""
_SENTENCES = """
    from sentence_transformers import SentenceTransformer
    model = SentenceTransformer("/app/models/minilm", device="cpu", local_files_only=True)
    assert model.encode(["a sentence", "and another one"]).shape == (2, 384)
"""
_TOKENIZER = """
    from transformers import AutoConfig, AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained("/app/models/minilm", local_files_only=True)
    assert tokenizer("hello").input_ids[0] == 101
    assert AutoConfig.from_pretrained("/app/models/minilm", local_files_only=True).hidden_size == 384
"""
_JOBLIB = """
    from joblib import Parallel, delayed
    from sklearn.ensemble import RandomForestClassifier
    assert Parallel(n_jobs=2)(delayed(abs)(number) for number in (-1, -2)) == [1, 2]
    forest = RandomForestClassifier(20, n_jobs=2, random_state=0).fit([[0], [1], [2], [3]] * 5, [0, 0, 1, 1] * 5)
    assert forest.predict([[3]])[0] == 1
"""
_HTTP_6 = """
    with started("python3", "-m", "http.server", "--bind", "::1", "--directory", "/etc", "8000"):
        assert b"root" in answer("http://[::1]:8000/passwd")
        subprocess.run(["curl", "--silent", "--fail", "--output", "/dev/null", "http://[::1]:8000/hostname"], check=True)
"""
_OWN_NAME = """
    import socket
    with started("python3", "-m", "http.server", "8000"):
        for name in ("localhost", socket.gethostname(), socket.getfqdn()):
            answer(f"http://{name}:8000/")
            subprocess.run(["curl", "--silent", "--fail", "--output", "/dev/null", f"http://{name}:8000/"], check=True)
        subprocess.run(["getent", "hosts", "localhost", socket.gethostname()], check=True)
        subprocess.run(["hostname", "--fqdn"], check=True)
"""
_SYSTEM_LOG = """
    import logging, logging.handlers, getpass, socket
    try:
        handler = logging.handlers.SysLogHandler("/dev/log")
    except OSError:
        handler = logging.StreamHandler()
    logging.getLogger().addHandler(handler)
    logging.warning("started by %s on %s", getpass.getuser(), socket.gethostname())
"""
REAL_HONEST = {
    "the quickstart's self-check": (*_QUICKSTART, "python3", "-m", "service.selfcheck"),
    "the quickstart's server": (*_QUICKSTART, *_server(_QUICKSTART_ASKED)),
    "uvicorn": _server(textwrap.dedent(_ASGI) + textwrap.dedent(_UVICORN)),
    "uvicorn on a Unix socket": _server(textwrap.dedent(_ASGI) + textwrap.dedent(_UVICORN_UNIX)),
    "gunicorn with workers": _server(textwrap.dedent(_WSGI) + textwrap.dedent(_GUNICORN)),
    "PostgreSQL": sh(textwrap.dedent(_POSTGRESQL)),
    "Redis": sh(textwrap.dedent(_REDIS)),
    "onnxruntime": python(_ONNXRUNTIME),
    "torch with several threads": _reference(_TORCH),
    "torch.distributed over loopback": _reference(_GLOO),
    "sentence-transformers": _reference(_SENTENCES),
    "a tokenizer of transformers": _reference(_TOKENIZER),
    "scikit-learn and joblib": _reference(_JOBLIB),
    "a pool of processes": DEBIAN_HONEST["a pool of processes"],
    "spawned processes and a manager": python(_SPAWNED),
    "a server on ::1": _server(_HTTP_6),
    "its own names": _server(_OWN_NAME),
    "localhost": DEBIAN_HONEST["localhost"],
    "its own host name": DEBIAN_HONEST["its own host name"],
    "abstract Unix sockets": DEBIAN_HONEST["abstract Unix sockets"],
    "reads who resolves names": sh("cat /etc/resolv.conf /etc/hosts /etc/nsswitch.conf"),
    "a log and a user's name": python(_SYSTEM_LOG),
    "its own address": DEBIAN_HONEST["its own address"],
}
