"""The console: an admin API and a web page over a running application, and a socket for the command line."""

from actorium.console.access import Operator
from actorium.console.console import Console, LogConsole
from actorium.console.control import control_socket
from actorium.console.masking import Masking
from actorium.console.meter import Meter

__all__ = ["Console", "LogConsole", "Masking", "Meter", "Operator", "control_socket"]
