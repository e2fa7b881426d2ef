"""`actorium console`: the page over a log's file, read-only, beside the running application."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from support.command_line import output
from support.served import served_shop
from support.shop import place, until


def test_the_page_of_a_log_is_served_read_only_until_ctrl_c(log_url: str) -> None:
    with served_shop(log_url) as shop:
        shop.do(place(shop.runtime, "o-1"))
        shop.do(until(shop.runtime, "o-1", "failed"))
        command = [sys.executable, "-m", "actorium", "console", "--at", log_url, "--port", "0"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "NO_COLOR": "1"}
        ) as serving:
            assert serving.stdout is not None
            url = serving.stdout.readline().split()[0]
            with urllib.request.urlopen(url, timeout=30) as page:
                assert b"Actorium console" in page.read()
            with urllib.request.urlopen(f"{url}api/sagas?status=failed", timeout=30) as answer:
                assert [one["id"] for one in json.load(answer)["sagas"]] == ["o-1"]
            request = urllib.request.Request(f"{url}api/sagas/retry", b"{}", {"Content-Type": "application/json"})
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(request, timeout=30)
            serving.send_signal(signal.SIGINT)
            assert serving.wait(30) == 130


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_number_that_is_no_port_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = output(capsys, "console", "--at", "shop.db", "--port", port)
    assert code == 2
    assert "must be a number from 0 to 65535" in err
