"""Parameters from SSM Parameter Store."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from reservations.domain.errors import SettingsError

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

SSM_CONFIG = Config(connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 3})

# Short timeouts, to read cached settings again: the caller needs its time for its work.
SSM_BRIEF_CONFIG = SSM_CONFIG.merge(Config(read_timeout=1, retries={"total_max_attempts": 1}))

_BATCH = 10  # GetParameters takes no more names


class SsmParameters:
    """Reads parameters, decrypted, by their full names."""

    def __init__(self, ssm: "SSMClient") -> None:
        self._ssm = ssm

    def read(self, names: Collection[str]) -> Mapping[str, str]:
        """Return the values of the parameters that exist, by name.

        Raises:
            SettingsError: Parameter Store did not answer, or refused.
        """
        found: dict[str, str] = {}
        wanted = sorted(names)
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            try:
                answer = self._ssm.get_parameters(Names=batch, WithDecryption=True)
            except (BotoCoreError, ClientError) as error:
                raise SettingsError(f"parameters could not be read: {', '.join(batch)}") from error
            found |= {parameter["Name"]: parameter["Value"] for parameter in answer["Parameters"]}
        return found
