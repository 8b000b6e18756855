"""Keeps a submission's code apart from the rest of the machine, with bubblewrap.

What runs behind the wall sees the system's programs, Python and the course's code, all of them
read-only, and one folder of its own. It doesn't see the gradebook, the solutions, other
submissions or anybody's home; nor other processes, nor a network, nor what the environment says
of anything but Python and its libraries.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from jupyter_client.manager import AsyncKernelManager

__all__ = ["IsolatedKernelManager", "wall", "why_not_isolated"]

PACKAGE = Path(__file__).resolve().parents[1]  # tapecourse/, without solutions/ beside it
SYSTEM = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/opt", "/nix", "/sys"]
LIBRARIES = ("CUDA_", "KERAS_", "MKL_", "MPL", "OMP_", "OPENBLAS_", "TF_")
KEPT = ("PATH", "LANG", "LC_", "TZ", "LD_LIBRARY_PATH", "PYTHON", "JPY_")  # names begin so
KEPT += ("NBGRADER_", "TAPECOURSE_", *LIBRARIES)
PYTHON = [sys.base_prefix, sys.prefix]  # the second is a virtual environment, if there is one


@cache
def why_not_isolated() -> str:
    """Return why nothing can be isolated on this machine, or "" if it can."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed (on Debian and Ubuntu: sudo apt install bubblewrap)"
    tried = subprocess.run([*wall(), "true"], capture_output=True, text=True)
    lines = tried.stderr.strip().splitlines() or [f"exit status {tried.returncode}"]
    return f"bubblewrap doesn't work here ({lines[-1]})" if tried.returncode else ""


def wall(*folders: str | Path) -> list[str]:
    """Return the command that runs another one behind the wall.

    Parameters
    ----------
    *folders : str or Path
        What the other command may write to.
    """
    readable = [str(path) for path in (*SYSTEM, *PYTHON, PACKAGE)]
    hidden = [name for name in os.environ if not name.startswith(KEPT)]
    return [
        "bwrap",
        *("--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"),
        *(part for path in readable for part in ("--ro-bind-try", path, path)),
        *(part for path in folders for part in ("--bind", str(path), str(path))),
        *(part for name in hidden for part in ("--unsetenv", name)),
        *("--unshare-all", "--die-with-parent", "--new-session"),
        *("--setenv", "HOME", "/tmp", "--setenv", "PYTHONPATH", str(PACKAGE.parent)),
        *("--setenv", "JPY_PARENT_PID", "1"),  # the number outside means nothing behind the wall
        "--",
    ]


class IsolatedKernelManager(AsyncKernelManager):
    """Starts kernels behind the wall, where there can be one; else as usual."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if not why_not_isolated():
            self.meeting_place = tempfile.mkdtemp()  # short: a socket's path has 108 bytes at most
            self.transport = "ipc"  # the kernel has no network
            self.connection_file = os.path.join(self.meeting_place, "kernel.json")

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        await super()._async_cleanup_resources(restart=restart)
        if not restart and not why_not_isolated():
            shutil.rmtree(self.meeting_place, ignore_errors=True)

    async def _async_launch_kernel(self, kernel_cmd: list[str], **kw: Any) -> None:
        if not why_not_isolated() and self.kernel_spec:
            self.kernel_spec.interrupt_mode = "message"  # a signal would reach bubblewrap instead
            kernel_cmd = [*wall(self.meeting_place, kw["cwd"]), *kernel_cmd]
        await super()._async_launch_kernel(kernel_cmd, **kw)
