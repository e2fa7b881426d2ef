"""Without the package of an extra, whatever needs it raises an error that says what to install."""

import json
import subprocess
import sys

import pytest

# Each program runs in one process that has none of the optional packages.
RUN_ALL = """
import json, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in {packages}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
found = {{}}
for program in json.loads(sys.stdin.read()):
    try:
        exec(program)
    except Exception as error:
        found[program] = f"{{type(error).__name__}}: {{error}}"
print(json.dumps(found))
"""
PACKAGES = [
    "aio_pika", "aiokafka", "apsw", "asyncpg", "cronsim", "cryptography", "fastapi", "litestar", "nats",
    "opentelemetry", "prometheus_client", "psutil", "sqlglot", "starlette", "uvicorn",
]  # fmt: skip
# The program, and what it says: who needs which package of which extra.
SAID = {
    "import actorium.contrib.fastapi": ("actorium.contrib.starlette", "starlette", "fastapi"),
    "import actorium.contrib.starlette": ("actorium.contrib.starlette", "starlette", "fastapi"),
    "import actorium.contrib.litestar": ("actorium.contrib.litestar", "litestar", "litestar"),
    "import actorium.contrib.opentelemetry": ("actorium.contrib.opentelemetry", "opentelemetry", "otel"),
    "import actorium.contrib.prometheus": ("actorium.contrib.prometheus", "prometheus_client", "prometheus"),
    "from actorium.contrib.brokers import KafkaSink as Sink; Sink('h:1', topic='t')": (
        "KafkaSink('h:1')", "aiokafka", "kafka",
    ),
    "from actorium.contrib.brokers import RabbitSink as Sink; Sink('amqp://h', exchange='x')": (
        "RabbitSink('amqp://h')", "aio_pika", "rabbitmq",
    ),
    "from actorium.store.urls import open_store; open_store('postgresql://h/d')": (
        "a log in PostgreSQL", "asyncpg", "postgresql",
    ),
    "from actorium.services import Service; Service('a', bus='nats://h')": ("a bus on NATS", "nats", "nats"),
    "from actorium.cluster import Cluster; Cluster(node='a', wire='nats://h')": (
        "Cluster(wire=…): a bus on NATS", "nats", "nats",
    ),
    "from actorium.schedules import Schedule; Schedule('a', print, cron='* * * * *')": (
        "Schedule('a', cron=…)", "cronsim", "schedules",
    ),
    "import actorium.verification.signatures": ("a signed head", "cryptography", "verify"),
    "from actorium.store.personal.sealing import library; library()": ("personal data", "cryptography", "personal"),
    "from actorium.runtime.projections.sql_tokens import sql_tokens; sql_tokens('SELECT 1')": (
        "a projection with a `schema`", "sqlglot", "sql",
    ),
    "from actorium.simulation.disk import store; store.SimulatedSqliteStore(store.SimulatedDisk())": (
        "SQLite on a simulated disk", "apsw", "simulation",
    ),
    "from actorium.commands.prove.postgresql import postgresql as prove; prove(rounds=1)": (
        "`actorium prove postgresql`", "asyncpg", "postgresql",
    ),
    "from actorium.commands.prove.cluster import cluster as prove; prove(rounds=1)": (
        "`actorium prove cluster`", "asyncpg", "postgresql,nats",
    ),
    "from actorium.commands.bench import bench; bench()": ("`actorium bench`", "psutil", "bench"),
    "from actorium.examples.demos import demo; demo('services')": (
        "`actorium demo services`", "uvicorn", "cli,fastapi,nats",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def found() -> dict[str, str]:
    program = RUN_ALL.format(packages=PACKAGES)
    ended = subprocess.run([sys.executable, "-c", program], input=json.dumps([*SAID]), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    result: dict[str, str] = json.loads(ended.stdout)
    return result


@pytest.mark.parametrize("program", SAID)
def test_a_missing_package_names_its_extra(program: str, found: dict[str, str]) -> None:
    user, package, extra = SAID[program]
    assert found.get(program) == f"ConfigurationError: {user} needs {package}: pip install 'actorium[{extra}]'"
