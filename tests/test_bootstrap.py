"""The set-up before anything is there: broken environments, two at once, no rights, odd folders."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from set_up_rig import quick_environment

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

import bootstrap
import bootstrap_run
from bootstrap_run import Failed

SCRIPTS = Path(bootstrap.__file__).parent
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="written for the shells of Unix")
PATIENCE = 120.0


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Environments that were made, quickly."""
    folders: list[Path] = []

    def run(command: Sequence[str | Path], doing: str, env: object = None) -> None:
        assert command[1:3] == ["-m", "venv"], command
        folders.append(Path(command[3]))
        quick_environment(Path(command[3]))

    monkeypatch.setattr(bootstrap, "run", run)
    return folders


@pytest.fixture(autouse=True)
def the_same_path_afterwards() -> Iterator[None]:
    before = os.environ["PATH"]
    yield
    os.environ["PATH"] = before


# ---------------------------------------------------------------------- the environment is its own


def test_an_environment_without_its_description_is_the_systems_python_and_is_made_anew(
    made: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One set-up removed what another was making; pip then installed into the system."""
    environment = tmp_path / ".venv"
    quick_environment(environment)
    assert bootstrap.is_own(environment)
    bootstrap.make_environment(environment)
    assert made == [], "a good one is kept"
    (environment / "pyvenv.cfg").unlink()
    assert not bootstrap.is_own(environment)
    bootstrap.make_environment(environment)
    assert made == [environment] and bootstrap.is_own(environment)
    assert "is broken; making it anew" in capsys.readouterr().out


def _no_python(environment: Path) -> None:
    (environment / "bin" / "python").unlink()
    (environment / "bin" / "python").symlink_to("/nowhere/python")


def _no_pip(environment: Path) -> None:
    next(environment.glob("lib/*/site-packages/pip")).unlink()


def _a_file(environment: Path) -> None:
    import shutil

    shutil.rmtree(environment)
    environment.write_text("")


def _a_link(environment: Path) -> None:
    environment.rename(environment.with_name("elsewhere"))
    environment.symlink_to(environment.with_name("nowhere"))


@pytest.mark.parametrize("damage", [_no_python, _no_pip, _a_file, _a_link])
def test_every_broken_environment_is_made_anew(
    damage: Callable[[Path], None], made: list[Path], tmp_path: Path
) -> None:
    environment = tmp_path / ".venv"
    quick_environment(environment)
    damage(environment)
    bootstrap.make_environment(environment)
    assert made == [environment] and bootstrap.is_own(environment)


def test_nothing_is_installed_where_the_python_is_not_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bootstrap, "run", lambda *anything: pytest.fail("pip ran"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    with pytest.raises(Failed, match="start again"):
        bootstrap.Pip(tmp_path)(["anything"], "installing")


def tiny_wheel(folder: Path) -> Path:
    """A package of one module."""
    path = folder / "tinything-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tinything.py", "HERE = 1\n")
        wheel.writestr(
            "tinything-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tinything\nVersion: 1.0\n"
        )
        wheel.writestr(
            "tinything-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("tinything-1.0.dist-info/RECORD", "")
    return path


def test_a_pip_that_is_set_to_the_user_installs_into_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`user = true` in pip.conf and PIP_USER=1 end in an error about --user; other variables lead astray."""
    quick_environment(tmp_path / ".venv")
    (tmp_path / "pip.conf").write_text("[install]\nuser = true\n")
    for name, value in {"PIP_CONFIG_FILE": tmp_path / "pip.conf", "PIP_USER": 1, "PIP_TARGET": tmp_path / "astray",
                        "PYTHONPATH": tmp_path / "other", "PYTHONUSERBASE": tmp_path / "base",
                        "HOME": tmp_path}.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    bootstrap.Pip(tmp_path / ".venv")(["--no-index", str(tiny_wheel(tmp_path))], "installing")
    found = list(tmp_path.rglob("tinything.py"))
    assert len(found) == 1 and found[0].is_relative_to(tmp_path / ".venv"), found


def test_certificates_of_the_system_are_tried_where_pip_knows_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    quick_environment(tmp_path / ".venv")
    (tmp_path / "bundle.crt").write_text("")
    calls: list[str | None] = []

    def run(command: Sequence[object], doing: str, env: dict[str, str]) -> None:
        calls.append(env.get("PIP_CERT"))
        if len(calls) == 1:
            raise Failed(
                "no", "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] ...'))"
            )

    monkeypatch.delenv("PIP_CERT", raising=False)
    monkeypatch.setattr(bootstrap, "run", run)
    monkeypatch.setattr(bootstrap, "BUNDLES", (str(tmp_path / "bundle.crt"),))
    monkeypatch.setattr(
        bootstrap.ssl, "get_default_verify_paths", lambda: type("Paths", (), {"cafile": None})
    )
    install = bootstrap.Pip(tmp_path / ".venv")
    install(["x"], "installing")
    install(["y"], "installing")
    assert calls == [None, str(tmp_path / "bundle.crt"), str(tmp_path / "bundle.crt")]


# ---------------------------------------------------------------------- two at once


def test_two_set_ups_wait_for_each_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    waiting, inside = threading.Event(), threading.Event()
    monkeypatch.setattr(bootstrap, "LOCK_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(bootstrap, "say", lambda text: waiting.set() if "waiting for it" in text else None)
    order: list[str] = []

    def second() -> None:
        with bootstrap.only_one(tmp_path / ".venv"):
            order.append("second")
            inside.set()

    thread = threading.Thread(target=second)
    with bootstrap.only_one(tmp_path / ".venv"):
        thread.start()
        assert waiting.wait(PATIENCE) and not inside.is_set()
        order.append("first")
    thread.join(PATIENCE)
    assert order == ["first", "second"]


def test_a_set_up_that_was_killed_holds_no_lock(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(SCRIPTS)!r}); import bootstrap; from pathlib import Path\n"
        f"with bootstrap.only_one(Path({str(tmp_path / '.venv')!r})):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with (tmp_path / ".venv.lock").open("a+b") as file:
            assert not bootstrap._locked(file.fileno())
    finally:
        holder.kill()
        holder.communicate()
    with bootstrap.only_one(tmp_path / ".venv"), (tmp_path / ".venv.lock").open("a+b") as file:
        assert not bootstrap._locked(file.fileno())


def test_who_waited_for_another_set_up_does_not_set_up_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers = iter([False, False, True])  # asked of the checkout, of the folder, and behind the lock
    monkeypatch.setattr(bootstrap, "environment_folder", lambda: tmp_path / ".venv")
    monkeypatch.setattr(bootstrap, "is_ready", lambda environment, test: next(answers))
    monkeypatch.setattr(bootstrap, "system_libraries", lambda test, environment: [])
    monkeypatch.setattr(bootstrap, "make_environment", lambda environment: pytest.fail("made again"))
    assert bootstrap.ready() == bootstrap.python_of(tmp_path / ".venv")


# ---------------------------------------------------------------------- where it can be


def test_a_colon_in_the_path_puts_the_environment_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Python refuses to make one there."""
    checkout = tmp_path / "music: takes 1"
    checkout.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = bootstrap.environment_folder(checkout)
    assert folder.is_relative_to(tmp_path / "cache") and os.pathsep not in str(folder)
    assert folder != bootstrap.environment_folder(tmp_path / "music: takes 2"), "each checkout has its own"
    assert bootstrap.environment_folder(tmp_path) == tmp_path / ".venv"


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "checkout"
    folder.mkdir()
    if os.geteuid() != 0:
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)
        return
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], capture_output=True
    ).returncode:
        pytest.skip("root writes everywhere, and may not mount here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_checkout_that_cannot_be_written_to_has_its_environment_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, read_only: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert bootstrap.environment_folder(read_only).is_relative_to(tmp_path / "cache")


def test_without_a_home_the_environment_is_in_a_folder_of_this_user_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    monkeypatch.setattr(bootstrap.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = bootstrap._cache_folder()
    assert folder.parent == tmp_path and folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)  # anybody may have put a Python there
    with pytest.raises(Failed, match="belongs to another; set XDG_CACHE_HOME"):
        bootstrap._cache_folder()


def test_a_checkout_that_pip_cannot_write_to_is_run_as_it_lies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    checkout = tmp_path / "music: takes"
    for package in ("jbdiff", "jbdiff_live"):
        (checkout / package).mkdir(parents=True)
        (checkout / package / "__init__.py").write_text("")
        (checkout / package / "__main__.py").write_text("import sys; print(__file__, sys.argv[1:])")
    monkeypatch.setattr(bootstrap, "ROOT", checkout)
    environment = tmp_path / "an environment"
    quick_environment(environment)
    bootstrap.install_project(environment, lambda *words: pytest.fail("pip would write beside the checkout"))
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for name, package in (("jbdiff", "jbdiff"), ("jbdiff-live", "jbdiff_live")):
        launcher = environment / "bin" / name
        done = subprocess.run([launcher, "a b"], capture_output=True, text=True, cwd=tmp_path, env=env)
        assert done.stdout.strip() == f"{checkout / package / '__main__.py'} ['a b']", done.stderr


# ---------------------------------------------------------------------- what a person reads


def test_what_fails_is_one_message_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(test: bool) -> Path:
        raise Failed("installing torch failed (1). The command was:\n  pip install")

    monkeypatch.setattr(bootstrap, "_ready", failing)
    with pytest.raises(SystemExit, match="jbdiff-live: installing torch failed"):
        bootstrap.ready()


def test_a_command_that_is_not_there_is_a_failed_step() -> None:
    with pytest.raises(Failed, match="cannot be started"):
        bootstrap_run.run(["/nowhere/at-all"], "installing")
