"""`Routes`: what a console's API can do: each path with its query or body, its answer, and the role that it needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

import msgspec

from actorium.console.access import Operator
from actorium.console.actions import Actions
from actorium.console.api import deployment as api_deployment
from actorium.console.api import queries, views
from actorium.console.api.queries import NoQuery
from actorium.console.api.route import Answer, Route, reading
from actorium.console.app_map import app_map
from actorium.console.cases.case_actions import CaseActions
from actorium.console.cases.case_reader import CaseReader
from actorium.console.cases.case_routes import case_routes
from actorium.console.deployment import Deployment
from actorium.console.feed import LiveSample
from actorium.console.log_view import LogView
from actorium.console.runtime_view import RuntimeView
from actorium.operators import OperatorActed, OperatorActionEnded
from actorium.store.event_store import EventStore
from actorium.store.events import event_type_of


class Overview(msgspec.Struct, frozen=True):
    """The state of an application at a glance: counters, processors, and the number of sagas by status."""

    position: int
    statistics: dict[str, float]
    processors: list[views.ProcessorView]
    sagas: dict[str, int]
    dead_letters: int


class Routes:
    """The routes of one console, by method and path."""

    def __init__(
        self,
        store: EventStore,
        view: RuntimeView,
        log: LogView,
        actions: Actions,
        cases: CaseReader,
        *,
        is_running: bool,
        acts: bool,
    ) -> None:
        self._store = store
        self._view = view
        self._log = log
        self._is_running = is_running
        self._acts = acts
        case_actions = CaseActions(lambda: view.running, view.saga, cases)
        routes = [*self._reads(), *_acts(actions), *case_routes(cases, case_actions)]
        self.all = {(route.method, route.path): route for route in routes}

    def _reads(self) -> list[Route]:
        log, view = self._log, self._view
        q, v, d = queries, views, api_deployment
        deployment = Deployment(self._store, view, log)

        def get(path: str, says: str, wanted: type[msgspec.Struct], answered: type, answer: Answer | None) -> Route:
            return Route("GET", path, says, "view", wanted, answered, answer)

        return [
            get("/api/info", "What this console shows, and to whom", NoQuery, v.ConsoleInfo, self._info),
            get("/api/overview", "The application at a glance", NoQuery, Overview, self._overview),
            get("/api/live", "Live values, as server-sent events", q.LiveQuery, LiveSample, None),
            get("/api/settings", "The settings in force", NoQuery, v.SettingsView, self._settings),
            get("/api/map", "The parts of the application", NoQuery, v.MapView, self._map),
            get("/api/stream-types", "Types of streams", NoQuery, v.NamesView, self._stream_types),
            get("/api/event-types", "Types of events", NoQuery, v.NamesView, self._event_types),
            get("/api/streams", "Streams", q.StreamsQuery, v.StreamPageView, reading(log.streams)),
            get("/api/stream", "The history of a stream", q.HistoryQuery, v.StreamHistory, reading(view.history)),
            get("/api/state", "The state of a stream at a version", q.StateQuery, v.StateView, reading(view.state)),
            get("/api/events", "Events", q.EventsQuery, v.EventPage, reading(log.events)),
            get("/api/event", "An event", q.EventQuery, v.EventView, self._event),
            get("/api/causes", "Causes and effects of an event", q.CausesQuery, v.CauseTree, self._causes),
            get("/api/sagas", "Sagas", q.SagasQuery, v.SagaPage, reading(log.sagas)),
            get("/api/saga", "A saga and its history", q.SagaQuery, v.SagaTimeline, reading(view.timeline)),
            get(
                "/api/submissions",
                "Submitted commands",
                q.SubmissionsQuery,
                v.SubmissionPage,
                reading(log.submissions),
            ),
            get("/api/timers", "What is due", q.TimersQuery, v.TimerPage, reading(log.timers)),
            get("/api/processors", "Processors of the log", NoQuery, v.ProcessorsView, self._processors),
            get(
                "/api/dead-letters",
                "Events that handlers could not handle",
                q.DeadLettersQuery,
                v.DeadLetterPage,
                reading(view.dead_letters),
            ),
            get(
                "/api/dead-letter",
                "A dead letter with its traceback",
                q.DeadLetterQuery,
                v.DeadLetterDetail,
                reading(view.dead_letter),
            ),
            get("/api/nodes", "Nodes and shards", NoQuery, d.NodesView, _asking(deployment.nodes)),
            get("/api/services", "Other services", NoQuery, d.ServicesView, _asking(deployment.services)),
            get("/api/outlets", "Ways of events out and in", NoQuery, d.ChannelsView, _asking(deployment.channels)),
            get("/api/held", "Events that can be recalled", q.HeldQuery, v.EventPage, reading(deployment.held)),
            get("/api/schedules", "Schedules", NoQuery, d.SchedulesView, _asking(deployment.schedules)),
            get("/api/actions", "What operators did", q.EventsQuery, v.EventPage, self._actions),
        ]

    # --- answers --------------------------------------------------------------------------------------------------

    async def _info(self, operator: Operator, _: Any) -> views.ConsoleInfo:
        source = "runtime" if self._is_running else "log"
        name = self._store.describe()
        return views.ConsoleInfo(source, name, operator.name, operator.role, self._acts, version("actorium"))

    async def _overview(self, _: Operator, __: Any) -> Overview:
        sagas = await self._log.saga_counts()
        parked = (await self._view.dead_letters(queries.DeadLettersQuery(limit=1))).total
        if not self._is_running:
            return Overview((await self._store.head()).position, {}, [], sagas, parked)
        statistics = self._view.running.statistics()
        counters = {
            name: value
            for name in statistics.__struct_fields__
            if isinstance(value := getattr(statistics, name), int | float)
        }
        return Overview(statistics.position, counters, self._view.processors(), sagas, parked)

    async def _settings(self, _: Operator, __: Any) -> views.SettingsView:
        return self._view.settings()

    async def _map(self, _: Operator, __: Any) -> views.MapView:
        return app_map(self._view.running.catalog)

    async def _stream_types(self, _: Operator, __: Any) -> views.NamesView:
        return views.NamesView(await self._log.stream_types())

    async def _event_types(self, _: Operator, __: Any) -> views.NamesView:
        return views.NamesView(sorted({stored.type for stored in await self._store.event_types()}))

    async def _event(self, _: Operator, query: queries.EventQuery) -> views.EventView:
        return self._log.event(await self._log.at(query.position))

    async def _causes(self, _: Operator, query: queries.CausesQuery) -> views.CauseTree:
        return await self._log.causes(query.event_id, query.limit)

    async def _processors(self, _: Operator, __: Any) -> views.ProcessorsView:
        return views.ProcessorsView(self._view.processors())

    async def _actions(self, _: Operator, query: queries.EventsQuery) -> views.EventPage:
        types = (event_type_of(OperatorActed), event_type_of(OperatorActionEnded))
        return await self._log.events(msgspec.structs.replace(query, types=types))


def _asking(read: Callable[[], Awaitable[Any]]) -> Answer:
    async def answer(_: Operator, __: Any) -> Any:
        return await read()

    return answer


def _acts(actions: Actions) -> list[Route]:
    q, v = queries, views

    def post(path: str, wanted: type[msgspec.Struct], answer: Answer, answered: type = v.ActionReport) -> Route:
        says = (answer.__doc__ or "").rstrip(".")
        return Route("POST", path, says, "operate", wanted, answered, answer)

    return [
        post("/api/sagas/retry", q.SagaAction, actions.retry_sagas),
        post("/api/sagas/skip", q.SagaAction, actions.skip_sagas),
        post("/api/sagas/complete", q.SagaAction, actions.complete_sagas),
        post("/api/sagas/compensate", q.SagaAction, actions.compensate_sagas),
        post("/api/submissions/cancel", q.SubmissionAction, actions.cancel_submissions),
        post("/api/submissions/run-now", q.SubmissionAction, actions.run_submissions),
        post("/api/processors/pause", q.ProcessorAction, actions.pause_processors),
        post("/api/processors/resume", q.ProcessorAction, actions.resume_processors),
        post("/api/processors/reset", q.ProcessorAction, actions.reset_processors),
        post("/api/dead-letters/retry", q.DeadLetterAction, actions.retry_letters),
        post("/api/dead-letters/discard", q.DeadLetterAction, actions.discard_letters),
        post("/api/outlets/recall", q.RecallAction, actions.recall_events),
        post("/api/schedules/pause", q.ScheduleAction, actions.pause_schedules),
        post("/api/schedules/resume", q.ScheduleAction, actions.resume_schedules),
        post("/api/schedules/run-now", q.ScheduleAction, actions.run_schedules),
        post("/api/values/event", q.ShowEvent, actions.show_event, v.EventView),
        post("/api/values/state", q.ShowState, actions.show_state, v.StateView),
    ]
