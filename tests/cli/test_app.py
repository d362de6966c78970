"""Flags become settings, errors become exit codes, standard output holds results only."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from smdgen import __version__, config
from smdgen.cli import app as cli
from smdgen.errors import ArtifactError, SimulationError, TrajectoryError

COMMANDS = ["simulate", "prepare", "train-vae", "train-lstm", "rollout", "relax", "analyze"]
SHARED = {"run", "config", "dry_run", "quiet", "json"}

EVERY_FLAG = {
    "simulate": (
        "da.psf da.pdb --params a.inp --params b.inp --forcefield amber14 --cv d=x --from 12 --to 34.5"
        " --duration 1000 --spring 7.2 --temperature 310 --solvent vacuum --replicas 40"
        " --frames 101 --workers 2 --dask tcp://a:1 -o out --seed 7 --force",
        config.SimulateConfig(
            structure=Path("da.psf"),
            coordinates=Path("da.pdb"),
            parameters=(Path("a.inp"), Path("b.inp")),
            forcefield="amber14",
            pulled="d=x",
            start_centre=12.0,
            end_centre=34.5,
            duration_ps=1000.0,
            spring_constant=7.2,
            temperature=310.0,
            solvent="vacuum",
            replicas=40,
            frames=101,
            workers=2,
            dask="tcp://a:1",
            output=Path("out"),
            seed=7,
            force=True,
        ),
    ),
    "prepare": (
        "a.dcd b.dcd --top s.psf --params p.inp --forcefield charmm36 --select name*CA --cv d=x --stride 5"
        " --salvage --expect-sha256 SUMS --workers 4 --dask tcp://b:2 --seed 3 --force",
        config.PrepareConfig(
            trajectories=(Path("a.dcd"), Path("b.dcd")),
            topology=Path("s.psf"),
            parameters=(Path("p.inp"),),
            forcefield="charmm36",
            select="name*CA",
            cv="d=x",
            stride=5,
            salvage=True,
            expect_sha256=Path("SUMS"),
            workers=4,
            dask="tcp://b:2",
            seed=3,
            force=True,
        ),
    ),
    "train-vae": (
        "--preset paper --epochs 2 --batch-size 8 --latent-size 12 --hidden-size 32 --energy-weight 0.5"
        " --device cpu --threads 1 --quick --resume --seed 4 --force",
        config.TrainVaeConfig(
            preset="paper",
            epochs=2,
            batch_size=8,
            latent_size=12,
            hidden_size=32,
            energy_weight=0.5,
            device="cpu",
            threads=1,
            quick=True,
            resume=True,
            seed=4,
            force=True,
        ),
    ),
    "train-lstm": (
        "--preset default --epochs 2 --batch-size 8 --hidden-size 32 --device cpu --threads 1 --quick"
        " --resume --seed 4 --force",
        config.TrainLstmConfig(
            preset="default",
            epochs=2,
            batch_size=8,
            hidden_size=32,
            device="cpu",
            threads=1,
            quick=True,
            resume=True,
            seed=4,
            force=True,
        ),
    ),
    "rollout": (
        "start.pdb --steps 25 --to -3.5 --schedule s.csv --samples 8 -o out --device cpu --seed 1 --force",
        config.RolloutConfig(
            start=Path("start.pdb"),
            steps=25,
            target=-3.5,
            schedule=Path("s.csv"),
            samples=8,
            output=Path("out"),
            device="cpu",
            seed=1,
            force=True,
        ),
    ),
    "relax": (
        "start.psf pulls --params a.prm --params b.rtf --forcefield amber14 --force",
        config.RelaxConfig(
            start=Path("start.psf"),
            rollout=Path("pulls"),
            parameters=(Path("a.prm"), Path("b.rtf")),
            forcefield="amber14",
            force=True,
        ),
    ),
    "analyze": (
        "a.dcd b.dcd -t a.pdb -o out --force",
        config.AnalyzeConfig(
            trajectories=(Path("a.dcd"), Path("b.dcd")),
            topology=Path("a.pdb"),
            output=Path("out"),
            force=True,
        ),
    ),
}
NEEDED = {"simulate": ["a.pdb"], "prepare": ["a.dcd"], "relax": ["a.pdb"]}


def command(name: str) -> typer.core.TyperCommand:
    return typer.main.get_command(cli.app).commands[name]


def test_commands_stand_in_pipeline_order():
    assert list(typer.main.get_command(cli.app).commands) == [*COMMANDS, "info", "check", "config"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_reaches_its_setting(name, stub):
    line, expected = EVERY_FLAG[name]
    stage = stub(name)
    run = [] if name == "simulate" else ["--run", "here"]
    assert cli.main([name, *line.split(), *run]) == 0
    assert stage.config == expected
    assert stage.run_dir == Path("here" if run else "smdgen-run")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_above_leaves_no_flag_out(name):
    """A flag added to a command has to be added to the test of what it sets."""
    words = EVERY_FLAG[name][0].split()
    for parameter in command(name).params:
        if parameter.name not in SHARED | {"help"} and parameter.param_type_name == "option":
            assert set(parameter.opts) & set(words), parameter.opts


@pytest.mark.parametrize("name", COMMANDS)
def test_flags_not_given_leave_the_defaults(name, stub):
    stage = stub(name)
    assert cli.main([name, *NEEDED.get(name, [])]) == 0
    needed = {"simulate": {"structure": Path("a.pdb")}, "prepare": {"trajectories": (Path("a.dcd"),)}}
    needed["relax"] = {"start": Path("a.pdb")}
    assert stage.config == type(stage.config)(**needed.get(name, {}))
    assert stage.run_dir == Path("smdgen-run")


def test_flags_win_over_the_settings_file(stub, tmp_path):
    stage = stub("train-vae")
    settings = tmp_path / "smdgen.toml"
    settings.write_text("[train-vae]\nepochs = 30\nlearning_rate = 0.002\nresume = true\n")
    assert cli.main(["train-vae", "--config", str(settings), "--epochs", "4"]) == 0
    assert (stage.config.epochs, stage.config.learning_rate, stage.config.resume) == (4, 0.002, True)


def test_an_unknown_setting_is_refused_before_the_stage_runs(stub, tmp_path, capsys):
    stage = stub("train-vae")
    settings = tmp_path / "smdgen.toml"
    settings.write_text("[train-vae]\nepoch = 30\n")
    assert cli.main(["train-vae", "--config", str(settings)]) == 2
    assert stage.config is None
    assert "epoch" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_shared_options_and_at_most_ten_others(name):
    """STYLE: at most ten flags a command; simulate alone has more: what a pull is takes that many numbers."""
    options = {p.name for p in command(name).params if p.param_type_name == "option"} - {"help"}
    assert options >= SHARED - ({"run"} if name == "simulate" else set())
    assert len(options - SHARED - {"seed", "force"}) <= (14 if name == "simulate" else 10)


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"smdgen {__version__}\n"


def test_no_command_shows_the_help(capsys):
    assert cli.main([]) == 2
    shown = capsys.readouterr()
    assert "Usage: smdgen" in shown.out + shown.err
    assert "error" not in shown.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["prepare"], ["TRAJECTORY", "smdgen prepare --help"]),
        (["prepare", "a.dcd", "--strid", "2"], ["--strid", "--stride"]),
        (["prepare", "a.dcd", "--stride", "0"], ["stride is 0, expected 1 or more"]),
        (["simulate", "a.pdb", "--to", "far"], ["--to", "number"]),
        (["train-vae", "--preset", "best"], ["--preset", "best", "paper"]),
        (["trainvae"], ["trainvae"]),
        (["prepare", "a.dcd", "-top", "x.psf"], ["-top", "did you mean --top?"]),
        (["prepare", "a.dcd", "-top=x.psf"], ["-top", "did you mean --top?"]),
        (["prepare", "a.dcd", "-sel", "name CA"], ["-sel", "did you mean --select?"]),
        (["prepare", "a.dcd", "-xyz"], ["-xyz", "long flags begin with two dashes"]),
        (["rollout", "a.pdb", "-output", "x"], ["-output", "did you mean --output?"]),
        (["rollout", "a.pdb", "-seed", "3"], ["-seed", "did you mean --seed?"]),
        (["prepare", "a.dcd", "--psf", "x"], ["--psf", "did you mean --top?"]),
        (["prepare", "a.dcd", "--batch_size", "3"], ["no flag --batch_size"]),
        (["prepare", "-f", "a.dcd"], ["TRAJECTORY is named without a flag"]),
        (["rollout", "--pdb", "a.pdb"], ["START is named without a flag"]),
        (["rollout", "a.pdb", "--target", "30"], ["--target", "did you mean --to?"]),
        (["rollout", "a.pdb", "-n", "3"], ["did you mean --steps or --samples?"]),
        (["simulate", "a.pdb", "-n", "3"], ["did you mean --replicas?"]),
        (["simulate", "a.pdb", "--steps", "500"], ["no flag --steps", "did you mean --duration?"]),
        (["train-vae", "--batch_size", "3"], ["did you mean --batch-size?"]),
        (["train-vae", "--lr", "0.1"], ["learning_rate is a setting for a TOML file"]),
        (["rollout", "a.pdb", "--relax"], ["no flag --relax", "`smdgen relax START`"]),
        (["rollout", "a.pdb", "--params", "x"], ["no flag --params", "`smdgen relax START --params FILE`"]),
        (["rollout", "--steps", "ten"], ["--steps", "expected a whole number, found 'ten'"]),
        (["rollout", "--samples", "0"], ["samples is 0, expected 1 or more"]),
        (["rollout", "--to", "ten"], ["--to", "expected a number, found 'ten'"]),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments, words, capsys, stub):
    for name in COMMANDS:
        stub(name)
    assert cli.main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("smdgen: error: ")
    assert shown.err.count("\n") == 1
    for word in words:
        assert word in shown.err


def test_words_of_pydantic_are_not_shown(capsys):
    for line in ("rollout --steps ten", "rollout --to x", "simulate a.pdb --solvent water --frames 1"):
        assert cli.main(line.split()) == 2
        shown = capsys.readouterr().err
        assert not any(word in shown for word in ("Input should", "parse", "Value error")), shown


def test_short_flags_may_still_stand_before_their_value_and_negative_numbers_are_values(stub):
    stage = stub("rollout")
    assert cli.main(["rollout", "-oresults", "-q", "--to", "-3.5"]) == 0
    assert (stage.config.output, stage.config.target) == (Path("results"), -3.5)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (TrajectoryError("a.dcd: cut at frame 12,\nexpected 201"), 2, "a.dcd: cut at frame 12, expected 201"),
        (ArtifactError("exists; use --force"), 2, "exists; use --force"),
        (SimulationError("pull 3: NaN"), 1, "pull 3: NaN"),
        (OSError(28, "No space left on device", "dataset.h5"), 1, "dataset.h5: No space left on device"),
        (MemoryError(), 1, "out of memory"),
        (RuntimeError("CUDA out of memory. Tried"), 1, "out of memory of the GPU; use --device cpu,"),
        (RuntimeError("[enforce] DefaultCPUAllocator: can't allocate memory: 4 bytes"), 1, "out of memory"),
        (KeyError("sequence"), 1, "unexpected KeyError: 'sequence'"),
    ],
)
def test_errors_are_one_line_with_their_exit_code(error, code, words, stub, capsys):
    stub("analyze", error=error)
    assert cli.main(["analyze", "--quiet"]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"smdgen: error: {words}")
    assert shown.err.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        "prepare no.dcd --run notes.txt/run",
        "rollout no.pdb --output notes.txt/out",
        "rollout no.pdb --output notes.txt/out --dry-run",
        "analyze no.dcd --output notes.txt/out",
        "simulate no.pdb --to 30 --output notes.txt/out",
    ],
)
def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_read(
    command, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("")
    assert cli.main(command.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "notes.txt is a file, expected a folder to write to" in line


def test_the_traceback_is_there_when_asked_for(stub, capsys, monkeypatch):
    monkeypatch.setenv("SMDGEN_DEBUG", "1")
    stub("analyze", error=KeyError("sequence"))
    assert cli.main(["analyze"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("kept", ["", "best weights of epoch 3 are in vae.safetensors; --resume goes on"])
def test_interrupt_says_what_was_kept_and_exits_130(kept, stub, capsys):
    stub("train-vae", error=KeyboardInterrupt(*([kept] if kept else [])))
    assert cli.main(["train-vae"]) == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("smdgen: interrupted; ")
    assert (kept or "finished files are kept") in last


def test_a_part_that_failed_gives_the_results_own_exit_code(stub):
    class Failed:
        exit_code = 1

    stub("simulate", result=Failed())
    assert cli.main(["simulate", "a.pdb"]) == 1


def test_dry_run_shows_the_plan_and_runs_nothing(stub, capsys):
    stage = stub("prepare")
    stage.plan = lambda config, run_dir: [("writes", f"{run_dir}/dataset.h5")]
    assert cli.main(["prepare", "a.dcd", "--stride", "4", "--dry-run"]) == 0
    assert stage.config is None
    rows = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines() if len(line.split()) > 1)
    assert rows["writes"] == "smdgen-run/dataset.h5"
    assert rows["stride"] == "4"
    assert rows["trajectories"] == "a.dcd"


def test_json_alone_is_on_standard_output(stub, capsys):
    stub("prepare")
    assert cli.main(["prepare", "a.dcd", "--json"]) == 0
    shown = capsys.readouterr()
    answer = json.loads(shown.out)
    assert answer["n_pulls"] == 3
    assert answer["path"] == "run/dataset.h5"
    assert answer["lowest"] is None
    assert answer["values"] == [1.5, None]
    assert answer["share"] == 0.25
    assert answer["summary"] == {"pulls": "3", "CV range": "12.0 to 31.5 A"}
    assert answer["hints"] == ["vmd -e run/rollout/view.vmd"]
    assert "note: a note on the way" in shown.err


def test_quiet_keeps_warnings_only(stub, capsys):
    stub("prepare")
    assert cli.main(["prepare", "a.dcd", "-q"]) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "note: a note on the way\n"


def test_without_a_terminal_there_are_plain_lines(stub, capsys):
    stub("prepare")
    assert cli.main(["prepare", "a.dcd"]) == 0
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert "\r" not in shown.out + shown.err
    lines = shown.err.splitlines()
    assert lines[0] == "reading pulls: 0/2"
    assert lines[1].startswith("reading pulls: 2/2 done in ")
    assert "closing ..." in lines
    assert "  CV range  12.0 to 31.5 A" in shown.out.splitlines()
    assert "  vmd -e run/rollout/view.vmd" in shown.out.splitlines()


def test_a_reader_that_goes_away_is_no_error():
    """`smdgen --help | head -1`: no traceback, no complaint."""
    reader, writer = os.pipe()
    os.close(reader)
    child = subprocess.run(
        [sys.executable, "-m", "smdgen", "simulate", "--help"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert child.returncode == 1
    assert child.stderr == ""


def test_ctrl_c_ends_at_once_without_a_traceback():
    """A real SIGINT while a stage works, bars or lines being shown."""
    code = (
        "import os, signal, sys, time\n"
        "from types import SimpleNamespace\n"
        "def run(config, run_dir, progress):\n"
        "    progress.start('epochs', 100)\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background ignores it
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(290)\n"
        "sys.modules['smdgen.stages.train_vae'] = SimpleNamespace(run=run)\n"
        "from smdgen.cli.app import main\n"
        "sys.exit(main(['train-vae']))"
    )
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert child.returncode == 130
    assert "Traceback" not in child.stderr
    assert child.stderr.splitlines()[-1].startswith("smdgen: interrupted; ")
    assert child.stdout == ""
