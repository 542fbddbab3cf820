"""A client of fanoutd: it acts on browsers by a daemon's control API, and hears them.

fanoutd.socketio has the same as python-socketio's servers.
"""

from . import targets as targets
from .client import Answer as Answer, Answers as Answers, Client as Client, Reached as Reached
from .consumer import (
    Allow as Allow,
    Consumer as Consumer,
    Event as Event,
    Refuse as Refuse,
    Reject as Reject,
    Retry as Retry,
)
from .errors import (
    DeadlineExceededError as DeadlineExceededError,
    DisconnectedError as DisconnectedError,
    FanoutdError as FanoutdError,
    InvalidArgumentError as InvalidArgumentError,
    NotFoundError as NotFoundError,
    OutcomeUnknownError as OutcomeUnknownError,
    PartialError as PartialError,
    PermissionDeniedError as PermissionDeniedError,
    UnavailableError as UnavailableError,
)
from .targets import connections as connections, everybody as everybody, rooms as rooms, users as users
from ._version import version as __version__
