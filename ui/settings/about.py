"""What the About page shows and copies: asked of the system in a thread when the page is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtGui import QGuiApplication

from app.diagnostics.about import components, cpu_sentence
from app.diagnostics.licences import licences_text
from app.diagnostics.report import diagnostics
from app.system.hardware import available_memory_bytes, cpu_name, physical_cores, total_memory_bytes, usable_cores
from app.system.paths import Paths
from app.units import percent
from ui.settings.about_page import AboutPage
from ui.words import size

if TYPE_CHECKING:
    from ui.program import Program

Facts = list[tuple[str, str]]


def make_about_page(program: Program, paths: Paths) -> AboutPage:
    """The page, connected."""
    page = AboutPage(paths.home)
    _About(page, program, paths)
    return page


class _About(QObject):
    """The slots. Lives as long as the page."""

    def __init__(self, page: AboutPage, program: Program, paths: Paths) -> None:
        super().__init__(page)
        self._page, self._program, self._paths = page, program, paths
        tasks = program.tasks
        page.facts_wanted.connect(
            lambda: tasks.run(_facts, on_result=lambda facts: page.show_facts(*facts), receiver=page)
        )
        page.licences_wanted.connect(lambda: tasks.run(licences_text, on_result=page.show_licences))
        page.copy_wanted.connect(self._copy)

    def _copy(self) -> None:
        def copy(text: str) -> None:
            QGuiApplication.clipboard().setText(text)
            self._page.show_copied()

        self._program.tasks.run(diagnostics, self._paths, self._shown(), on_result=copy, receiver=self._page)

    def _shown(self) -> dict[str, str]:
        """What only the window knows."""
        screen, model = self._program.window.screen(), self._program.engine.model
        pixels, scale = screen.size(), screen.devicePixelRatio()
        return {
            "Window system": QGuiApplication.platformName(),
            "Screen": f"{pixels.width()} x {pixels.height()} at {percent(scale)}",
            "Model": f"{model.name} {model.quantization}, safe mode {model.safe_mode}" if model else "none",
            "Engine": self._program.engine.state.value,
        }


def _facts() -> tuple[Facts, Facts]:
    versions = [(one.name, one.version) for one in components()]
    memory = f"{size(total_memory_bytes())}, {size(available_memory_bytes())} of it available"
    machine = [
        ("Processor", cpu_name()),
        ("It can compute with", cpu_sentence()),
        ("Cores", _cores(physical_cores(), usable_cores())),
        ("Memory", memory),
    ]
    return versions, machine


def _cores(physical: int, usable: int) -> str:
    return str(physical) if usable == physical else f"{physical}, which work as {usable} (hyper-threads)"
