"""The command line as its users know it: verbs, options, help, exit codes and what is said of wrong usage."""

import os
import re
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import typer
import yaml
from tiny_study import ROOT

from regbench.cli.main import VERBS, app, main
from regbench.cli.options import load_study
from regbench.orchestration import estimate
from regbench.study.load import load
from regbench.study.methods import Study
from regbench.system.errors import InterruptedTrainingError, RegbenchError, UsageError
from regbench.system.files import write_sealed

# Arguments first, with `?` where they may be left out; then options, with `!` where they may not, and defaults.
INTERFACE = {
    "new": "NAME --data",
    "run": "CONFIG -- SNAKEMAKE...? --cores --profile --verbose",
    "quick": "-- SNAKEMAKE...? --cores --verbose",
    "list": "",
    "audit": "NAME --as --set --threads=1 --json --html",
    "check": "CONFIG --show",
    "plan": "CONFIG --at-once=1 --measured --to-decide --json",
    "freeze": "CONFIG --again",
    "prepare": "CONFIG --dataset --threads=1",
    "inspect": "CONFIG --dataset --threads=1 --picture",
    "lambda-range": "CONFIG --dataset --similarity --regularizer! --threads=1",
    "propose": "CONFIG --dataset --method! --replicate=0 --round!",
    "trial": "CONFIG --dataset --method! --replicate=0 --round! --threads=1 --slots",
    "select": "CONFIG --dataset --method! --replicate=0",
    "cell": "CONFIG --dataset --method! --threads=1 --save-every=300",
    "curve": "CONFIG --dataset --method! --seed --point --threads=1 --save-every=300",
    "train": "CONFIG --dataset --method! --seed! --threads=1 --lam --weight --out --save-every=300",
    "evaluate": "CONFIG --dataset --method! --seed! --threads=1 --run",
    "export-images": "CONFIG DIR --dataset --overwrite",
    "transfer": "CONFIG --dataset --method! --on! --threads=1",
    "evaluate-fields": "CONFIG DIR --dataset --form=auto --out",
    "export": "CONFIG --dataset --method! --seed! --threads=1 --out --prepared --form=l2r --overwrite",
    "fetch": "name? --store",
    "runtime": "CONFIG --dataset --threads=1",
    "look": "CONFIG --dataset --model! --number!",
    "analyze": "CONFIG",
    "report": "CONFIG --threads=1 --partial",
    "robustness": "CONFIG --threads=1 --processes=1",
    "view": "RUN PAIR --threads=1 --config --out --overwrite --no-browser",
    "status": "CONFIG --json",
    "track": "CONFIG --verify --follow --interval --head",
    "ui": "CONFIG --port=5000 --no-browser",
    "export-optuna": "CONFIG --storage",
    "cancel": "CONFIG",
    "show": "CONFIG",
    "verdicts": "ROWS --metric=dice --equivalence --direction --dataset --alpha=0.05 --json",
    "register": "--model! --fixed! --moving! --out! --threads=1 --labels --fixed-mask --moving-mask --intensity"
    " --colour --fixed-modality --moving-modality --by=header --itk --overwrite"
    " --device=auto --similarity --regularizer --lam --refine --allow",
    "publish": "CONFIG --to=results/reference --with-pictures --tables-only --overwrite --threads=1",
    "verify": "FOLDER... --threads=1 --rerun --data --work=results/rerun --cores",
    "schema": "--check --out=workflow/config.schema.json",
}
REGBENCH = [sys.executable, "-c", "from regbench.cli.main import main; main()"]
HEAVY = ("torch", "mlflow", "optuna", "pandas", "scipy", "matplotlib", "snakemake", "numpy", "pydantic", "rich")


def written(parameter) -> str:
    if parameter.param_type_name == "argument":
        return (parameter.metavar or parameter.name) + ("" if parameter.required else "?")
    default = "" if parameter.default is None or parameter.default is False else f"={parameter.default}"
    return parameter.opts[0] + ("!" if parameter.required else default)


def test_verbs_options_and_defaults():
    commands = typer.main.get_command(app()).commands
    found = {name: " ".join(written(parameter) for parameter in verb.params) for name, verb in commands.items()}
    assert found == INTERFACE


def shown(capsys, *arguments) -> str:
    with pytest.raises(SystemExit, match=r"^0$"):
        main(arguments)
    return capsys.readouterr().out


def test_help_lists_every_verb_with_a_whole_sentence(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = dict(re.findall(r"^  ([a-z-]+)  +(\S.*)$", shown(capsys, "--help").partition("Commands:")[2], re.MULTILINE))
    assert list(lines) == list(VERBS)
    assert [sentence for sentence in lines.values() if sentence.endswith("...") or not sentence.endswith(".")] == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_what_it_does(verb, capsys):
    text = shown(capsys, verb, "--help")
    assert shown(capsys, verb, "-h") == text
    assert text.startswith(f"Usage: regbench {verb} ")
    assert VERBS[verb].__doc__.partition("\n")[0] in text


def test_version(capsys):
    assert re.fullmatch(r"regbench \d+\.\d+\.\d+\S*\n", shown(capsys, "--version"))


def test_help_is_light():
    code = (
        "import sys, contextlib\n"
        "from regbench.cli.main import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(None): main(['--help'])\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing command"),
        (["chekc", "a"], "No such command 'chekc'. Did you mean 'check'"),
        (["train", "a", "--sede", "3"], "No such option: --sede (Possible options: --seed"),
        (["check"], "Missing argument 'CONFIG'"),
        (["check", "a", "b"], "unexpected extra argument(s) (b)"),
        (["train", "a", "--method", "b"], "Missing option '--seed'"),
        (["train", "a", "--method", "b", "--seed", "x"], "'--seed': must be a whole number, but got 'x'"),
        (["train", "a", "--method", "b", "--seed", "-1"], "'--seed': must be from 0 to 4294967295, but got -1"),
        (["train", "a", "--method", "b", "--seed", "1", "--lam", "x"], "'--lam': must be a number, but got 'x'"),
        (["prepare", "a", "--threads", "0"], "'--threads': must be at least 1, but got 0"),
        (["prepare", "a", "--threads"], "'--threads' requires an argument"),
        (["track", "a", "--interval", "nan"], "'--interval': must be a finite number, but got nan"),
        (["track", "a", "--interval", "0"], "'--interval': must be a positive number of seconds, but got 0"),
        (["track", "a", "--interval", "5"], "--interval and --head are of --follow, which is not given"),
        (["track", "a", "--head", "1"], "--interval and --head are of --follow, which is not given"),
        (["track", "a", "--follow", "--verify"], "--verify is of one push, and --follow makes many"),
        (["register", "--lam", "inf"], "'--lam': must be a finite number, but got inf"),
        (
            ["register", "--model", "a.pt", "--fixed", "a", "--moving", "b", "--out", "c", "--similarity", "mse"],
            "--similarity is of `--model instance`, but `a.pt` has what it was trained with",
        ),
        (
            ["register", "--model", "a.pt", "--fixed", "a", "--moving", "b", "--out", "c", "--lam", "0"],
            "--lam is of `--model instance`, but `a.pt` has",
        ),
        (["trial", "a", "--method", "b", "--round", "0", "--slots", "1"], "'--slots' requires 2 arguments"),
        (["evaluate-fields", "a", "b", "--form", "x"], "'--form': 'x' is not one of 'auto', 'l2r', 'itk', 'nifti'"),
        (["register", "--device", "gpu"], "'--device': 'gpu' is not one of 'auto', 'cpu', 'cuda'"),
        (["check", "/nowhere/a.yaml"], "/nowhere/a.yaml"),
    ],
)
def test_wrong_usage_is_one_line_that_says_what_is_wrong(arguments, words, capsys):
    with pytest.raises(SystemExit, match=r"^2$"):
        main(arguments)
    output = capsys.readouterr()
    assert re.fullmatch(r"regbench: .+\n", output.err)
    assert words in output.err
    assert output.out == ""


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("lcc.grad_l2 --round 2", "--round must be 0 to 1, but got 2"),
        ("lcc.grad_l2 --round 0 --slots 1 0", "--slots must be those of a job of round 0, `0 1`, but got `1 0`"),
        ("mse.grad_l2 --round 0", "--method must name a method whose lambda is searched"),
    ],
)
def test_a_trial_that_nobody_proposed_is_refused(given, words, tiny, tmp_path, capsys):
    path = tmp_path / "study.yaml"
    fixed = {"lambdas": [{"similarity": "mse", "value": 1}, *tiny["lambdas"]]}
    path.write_text(yaml.safe_dump({**tiny, **fixed}))
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["trial", str(path), "--method", *f"voxelmorph.{given}".split()])
    assert words in capsys.readouterr().err


def test_wrong_usage_names_the_help_of_its_verb(capsys):
    with pytest.raises(SystemExit):
        main(["check"])
    assert capsys.readouterr().err.endswith("See `regbench check --help`.\n")


@pytest.mark.parametrize(
    ("error", "code"),
    [(RegbenchError("no room"), 1), (UsageError("no such name"), 2), (InterruptedTrainingError("at step 3"), 75)],
)
def test_errors_are_one_line_and_an_exit_code(error, code, monkeypatch, capsys):
    def fails():
        raise error

    monkeypatch.setitem(VERBS, "list", fails)
    with pytest.raises(SystemExit, match=rf"^{code}$"):
        main(["list"])
    assert capsys.readouterr().err == f"regbench: {error}\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_without_unicode_shows_words_instead(encoding, tiny, tmp_path):
    """By `check` and its mistakes: both hold signs that the terminal lacks."""
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**tiny, "lambda\u03bb±😀": 1}, allow_unicode=True), encoding="utf-8")
    words = [sys.executable, "-c", "from regbench.cli.main import main; main()", "check", str(path)]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = subprocess.run(words, env=environment, capture_output=True, check=False)
    shown = done.stderr.decode(encoding)
    assert done.returncode == 2
    assert "Traceback" not in shown
    assert "lambdalambda" in shown
    assert "\\U0001f600" in shown


def test_a_path_that_the_shell_cannot_name_is_said(tiny, tmp_path):
    """In an ASCII locale Python cannot write a folder with an umlaut."""
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**tiny, "results": str(tmp_path / "Größe")}, allow_unicode=True), encoding="utf-8")
    words = [sys.executable, "-c", "from regbench.cli.main import main; main()", "prepare", str(path)]
    environment = {**os.environ, "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.returncode == 0 or "PYTHONUTF8=1" in done.stderr


def test_ctrl_c_ends_a_verb_without_a_traceback(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setitem(VERBS, "list", interrupted)
    with pytest.raises(SystemExit, match=r"^130$"):
        main(["list"])
    assert capsys.readouterr().err == ""


def test_a_verb_that_works_returns(monkeypatch):
    monkeypatch.setitem(VERBS, "list", lambda: None)
    assert main(["list"]) is None


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch):
    monkeypatch.setitem(VERBS, "list", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["list"])


def test_a_reader_that_has_gone_ends_it_quietly():
    code = "from regbench.cli import main as cli; cli.VERBS['list'] = lambda: print('x' * 10**6)\ncli.main(['list'])"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), error) == (1, b"")


@pytest.mark.parametrize(
    "words", [["--measured", "a", "b", "--json"], ["--measured", "a", "--json", "--measured", "b"], ["--json"]]
)
def test_plan_takes_several_folders(words, tiny_file, tmp_path, monkeypatch, capsys):
    given = []
    monkeypatch.setattr(estimate, "estimate", lambda study, at_once, measured: given.extend(measured))
    main(["plan", str(tiny_file), *words])
    assert [str(folder) for folder in given] == [word for word in words if len(word) == 1]


def completed(**variables) -> str:
    done = subprocess.run(REGBENCH, env=os.environ | variables, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_completion_script(shell):
    assert "_REGBENCH_COMPLETE=complete_" + shell in completed(_REGBENCH_COMPLETE=f"source_{shell}")


def test_completion_knows_verbs_options_and_choices():
    def after(words):
        number = str(len(words.split(" ")) - 1)
        return completed(_REGBENCH_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=number).split()

    assert after("regbench pre") == ["prepare"]
    assert after("regbench train --se") == ["--seed"]
    assert after("regbench register --by c") == ["centre"]


def test_the_command_line_knows_no_path_of_a_study():
    """`Layout` names every file of a study once."""
    text = "".join(path.read_text() for path in (ROOT / "regbench/cli").glob("*.py"))
    assert not re.search(r"\.root(\s*/|\}/)", text)


def test_what_the_head_has_checked_is_not_checked_again(tiny, tmp_path, monkeypatch):
    study = Study(load(tiny))
    study.layout.config.parent.mkdir(parents=True)
    write_sealed(study.layout.config, study.config.model_dump(mode="json"))
    other = tmp_path / "config.json"  # a user's own file may be called so
    other.write_text(study.layout.config.read_text())
    asked = []
    monkeypatch.setattr("regbench.orchestration.registries.check_component", lambda *given: asked.append(given) or [])
    assert load_study(study.layout.config).config == study.config
    assert asked == []
    load_study(other)
    assert len(asked) > 0
    asked.clear()
    load_study(study.layout.config, written_by_head=False)
    assert len(asked) > 0


def test_mistakes_of_form_and_of_components_come_together(tiny, tmp_path, capsys):
    tiny["training"]["steps"], tiny["grid"]["similarities"] = -1, ["lccc"]
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(tiny))
    with pytest.raises(SystemExit):
        main(["train", str(path), "--method", "voxelmorph.mse.grad_l2", "--seed", "0"])
    message = capsys.readouterr().err
    assert "training.steps" in message
    assert "did you mean `lcc`" in message


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize(
    ("words", "unbuffered"), [(["list"], ""), (["list"], "1"), (["--help"], "1"), (["--version"], "")]
)
def test_output_that_cannot_be_written_is_said_without_a_traceback(words, unbuffered):
    for redirection, status, said in (
        (">/dev/full", 1, "regbench: the output of this command must be usable, but got: No space left on device."),
        ("| head -c 0 >/dev/null; exit ${PIPESTATUS[0]}", None, ""),
        (">/dev/full 2>&1", 1, ""),
        (">&- 2>&- <&-", 0, ""),
    ):
        code = "from regbench.cli.main import main; main()"
        line = f"{shlex.quote(sys.executable)} -c '{code}' {shlex.join(words)} {redirection}"
        environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        done = subprocess.run(
            ["bash", "-c", line], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert "Traceback" not in done.stderr
        assert "Exception" not in done.stderr
        assert done.stderr.startswith(said)
        assert done.returncode == status or (status is None and done.returncode in (0, 1)), (words, redirection)


def test_a_closed_stream_takes_no_file_for_itself(tmp_path):
    """The first file that is opened would get the number of the standard output, and what a child writes there."""
    code = (
        "from regbench.system.terminal import show_everywhere; show_everywhere(); import subprocess;"
        f"file = open({str(tmp_path / 'result')!r}, 'wb'); subprocess.run(['echo', 'stray']); file.close()"
    )
    subprocess.run(["bash", "-c", f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} >&-"], check=True)
    assert (tmp_path / "result").read_bytes() == b""


def test_an_altered_config_of_a_head_is_refused(tiny, tmp_path, capsys):
    """Jobs are made of it: of other steps they would make other numbers."""
    study = Study(load(tiny))
    path = study.layout.config
    write_sealed(path, study.config.model_dump(mode="json"))
    whole = path.read_text()
    assert load_study(path).config == study.config
    for before, after in (('"steps": 4', '"steps": 5'), ('"study": "tiny"', '"study": "tinx"')):
        assert before in whole
        path.write_text(whole.replace(before, after))
        for check in (True, False):
            with pytest.raises(RegbenchError, match=r"config\.json` must be as it was written"):
                load_study(path, check=check)
    copy = tmp_path / "mine.yaml"  # of which somebody makes a study of their own
    copy.write_text(whole.replace('"steps": 4', '"steps": 5'))
    assert load_study(copy).config.training.steps == 5


@pytest.mark.parametrize("verb", ["check", "track", "ui"])
def test_a_tracking_uri_of_the_environment_is_named_by_the_verbs_that_track(tiny_file, capsys, monkeypatch, verb):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://lab:5000")
    monkeypatch.setattr("regbench.tracking.track", lambda *args, **options: {})
    monkeypatch.setattr("regbench.tracking.describe", str)
    monkeypatch.setattr("regbench.tracking.mlflow_ui.opened", lambda *args: (_ for _ in ()).throw(RegbenchError("x")))
    with suppress(SystemExit):
        main([verb, str(tiny_file)])
    assert "MLFLOW_TRACKING_URI is set (http://lab:5000) and not used" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("shell", "code", "words"),
    [
        ("regbench list > /dev/full", 1, "the output of this command must be usable, but got: No space left on device"),
        ("regbench list >&-", 0, ""),
        ("{ sleep 0.1; regbench list; echo $? >&2; } | true", 0, "1"),
    ],
)
def test_an_output_that_cannot_be_written_is_no_traceback(shell, code, words):
    python = f"{sys.executable} -c 'from regbench.cli.main import main; main([\"list\"])'"
    words_of_shell = ["bash", "-c", shell.replace("regbench list", python)]
    done = subprocess.run(words_of_shell, check=False, capture_output=True, text=True)
    assert done.returncode == code
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == bool(words)


def test_a_method_without_a_search_has_no_rounds_to_propose(tiny_file, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["propose", str(tiny_file), "--method", "identity", "--round", "0"])
    assert ended.value.code == 2
    assert (
        "--method must name a method whose lambda is searched, but nothing of `identity` is" in capsys.readouterr().err
    )


def test_run_becomes_snakemake(tmp_path, monkeypatch):
    """No process stands between the shell and Snakemake: signals and the exit status are its own."""
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("study: mine")
    became = []
    monkeypatch.setattr(os, "execv", lambda program, words: became.append((program, words)))
    main(["run", "mine.yaml", "--cores", "2", "--", "-n", "--config", "seeds=[0]"])
    main(["quick", "--", "--verbose"])
    main(["run", "mine.yaml", "--verbose", "--", "-n"])
    main(["quick", "--verbose"])
    (program, words), (_, of_quick), (_, spoken), (_, spoken_quick) = became
    assert spoken[-2:] == ["--printshellcmds", "-n"]
    assert spoken_quick[-1] == "--printshellcmds"
    assert program == words[0] == sys.executable
    assert words[4:] == [
        *("--snakefile", str(ROOT / "Snakefile"), "--cores", "2", "--configfile=mine.yaml"),
        *("-n", "--config", "seeds=[0]"),
    ]
    assert of_quick[6:] == ["--cores", "all", f"--configfile={ROOT / 'configs/quick.yaml'}", "--verbose"]
    for wrong in (["run", "nowhere.yaml"], ["run", "mine.yaml", "--profile", "slrm"], ["run", "mine.yaml", "-n"]):
        with pytest.raises(SystemExit) as stopped:
            main(wrong)
        assert stopped.value.code == 2
    assert len(became) == 4
