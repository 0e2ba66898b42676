"""What a run is made on, as far as it decides bits: recorded with every model and every result."""

import torch

from benchmark.contracts.result import Machine
from benchmark.scoring.evaluate import cpu_name, device_name


def machine_of(device: torch.device, precision: str = "fp32", devices: int = 1) -> Machine:
    """The machine as it is now.

    Args:
        device: on which the work is done.
        precision: in which it is done, "auto" resolved; scoring is always "fp32".
        devices: processes that work together.
    """
    return Machine(
        cpu=cpu_name(),
        instruction_set=torch.backends.cpu.get_cpu_capability(),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        kind=device.type,
        device=device_name(device),
        devices=devices,
        precision=precision,
    )
