"""What others put there: pipes for locks, checkpoints that run commands; and what they must not see."""

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import torch
from drilling import BIN, must
from PIL import Image
from table import New, drill

PASSWORD = "s3cret-Drill"


@drill("a FIFO, then a link, lies where a GPU's lock belongs", "refused at once, by name", quick=True)
def pipe_for_a_lock(new: New) -> str:
    locks, seen = new.place(), ""
    code = "from regbench.system.gpu_lease import lease; print(lease('cuda'))"
    environment = {**os.environ, "REGBENCH_GPUS": "GPU-a", "REGBENCH_GPU_LOCKS": str(locks)}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    first = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    (lock,) = locks.iterdir()
    must(first.stdout.strip() == "GPU-a", f"it must lease the GPU first: {first.stderr}")
    for put in (lambda: os.mkfifo(lock), lambda: lock.symlink_to("/dev/zero")):
        lock.unlink()
        put()
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=30
        )
        must(done.returncode != 0 and lock.name in done.stderr, f"it must be refused by name: {done.stderr[-500:]}")
        seen = done.stderr.strip().splitlines()[-1]
    return seen[:160]


@drill("`regbench ui` is asked without its token, and with it", "401; 200", quick=True)
def ui_without_token(new: New) -> str:
    bench = new.finished()
    done = bench.verb("track", "study.yaml")  # a copy is a study of its own
    must(done.returncode == 0, done.stderr[-1000:])
    server = subprocess.Popen(
        [BIN / "regbench", "ui", "study.yaml", "--port", "0", "--no-browser"], cwd=bench.folder, env=bench.environment,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        link = ""
        for line in server.stdout:
            link = link or (re.findall(r"http://\S+", line) or [""])[0]
            if "Ctrl-C" in line:
                break
        must("token=" in link, f"no link with a token: {link}")
        host = link.partition("/?")[0].partition("#")[0].rstrip("/")
        base = re.match(r"http://[^/]+", host)[0]
        refused = [
            _status(f"{base}{path}")
            for path in ("/", "/ajax-api/2.0/mlflow/experiments/search", "/graphql", "/get-artifact")
        ]
        must(set(refused) <= {401, 403} and 401 in refused, f"a stranger must be refused, but got {refused}")
        answer = _status(link.partition("#")[0])
        must(answer == 200, f"the owner must be served, but got {answer}")
    finally:
        os.killpg(server.pid, 15)
        server.wait()
    return f"without: {', '.join(map(str, refused))}; with: {answer}"


def _status(address: str) -> int:
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    try:
        with opener.open(address, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@drill(
    "`regbench register` with checkpoints that name `os:system` and a command",
    "refused with the file's name; nothing runs",
    quick=True,
)
def hostile_checkpoint(new: New) -> str:
    bench = new.finished()
    path = next((bench.root / "runs").rglob("checkpoint.pt"))
    stored, seen = torch.load(path, weights_only=True), ""
    evil = bench.folder / "evil.pt"
    image = np.random.default_rng(0).integers(0, 255, (32, 32), dtype=np.uint8)
    Image.fromarray(image).save(bench.folder / "a.png")
    for entry in ("model", "similarity", "regularizer"):
        for dims in (2, "touch ran; echo ran"):
            torch.save({**stored, entry: {"name": "os:system", "parameters": {}}, "dims": dims}, evil)
            done = bench.verb("register", "--model", "evil.pt", "--fixed", "a.png", "--moving", "a.png", "--out", "out")
            must(
                done.returncode in (1, 2) and "evil.pt" in done.stderr and "Traceback" not in done.stderr,
                done.stderr[-1000:],
            )
            must(not (bench.folder / "ran").exists(), "the command ran")
            seen = done.stderr.strip()
    return seen[:160]


@drill(
    "a study whose `--config` gives a tracking URI with a password",
    "it stands in no output and no log; `config.json` is 0600",
)
def password_of_a_uri(new: New) -> str:
    bench = new()
    uri = f"http://ann:{PASSWORD}@127.0.0.1:9/"
    head = bench.head("--config", f'tracking={{uri: "{uri}", follow: false}}')
    must(head.wait() == 1, "without a server only the push fails")
    holding = [path for path in bench.folder.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    must(holding == [bench.root / "config.json"], f"the password stands in {holding}")
    must(holding[0].stat().st_mode & 0o777 == 0o600, "config.json must be its owner's alone")
    count = sum(path.is_file() for path in bench.folder.rglob("*"))
    return f"{count} files, the password in config.json (0600) alone"
