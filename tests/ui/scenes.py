"""The window in every state worth a look, with sample data: for the pictures, and for tests of the whole window."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

from PySide6.QtGui import QCursor
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from app.chat.store import ChatStore
from app.engine.messages import MemoryNeed, PromptReady, Token, TooLarge
from app.library.gguf_file import GgufHeader
from app.library.library import ModelEntry, ModelSource
from app.operation import Progress
from app.operation import Stage as Phase
from app.settings import Theme
from app.system.paths import STARTER_MODEL, Paths
from tests.ui.fake_engine import SAMPLE_MODEL, SAMPLE_STATISTICS, Answer, EngineState, FakeEngine
from ui.look.theme import ThemeWatcher
from ui.navigation import Page
from ui.program import Program
from workers.memory_sampler import MemorySample
from workers.protocol import Failure

GB = 10**9

QUESTION = "How do I read a CSV file and sum one of its columns?"
ANSWER = """Use `csv.DictReader`: it gives each row as a dictionary, with the first line of the file as keys.

```python
import csv
from pathlib import Path

def total(path: Path, column: str) -> float:
    with path.open(newline="") as file:
        return sum(float(row[column]) for row in csv.DictReader(file))

print(total(Path("sales.csv"), "amount"))
```

- `newline=""` leaves the line ends to the `csv` module.
- A missing column raises **KeyError**, a cell that is no number **ValueError**.
"""
QUESTION_2 = "And if the numbers have a comma instead of a point?"
ANSWER_2 = 'Then replace it before `float` sees it: `float(row[column].replace(",", "."))`.'
QUESTION_NOW = "Can I have the sum for each month?"
ANSWER_IN_WRITING = """Yes. Keep one sum for each month in a `defaultdict`:

```python
from collections import defaultdict

sums = defaultdict(float)
for row in csv.DictReader(file):
    month = row["date"][:7]
    sums[month] += float(row["amount"])
"""


class Stage:
    """The whole program on a fake engine, in a data folder of the caller's."""

    def __init__(self, theme: ThemeWatcher, choice: Theme, home: Path, width: int = 1280, height: int = 720) -> None:
        self.engine = FakeEngine()
        self.paths = Paths(home).ensure()
        self.program = Program(self.paths, theme, self.engine)
        self.program.library.refresh = lambda: None  # the sample entries stay
        self.program.settings.update(theme=choice)
        self.program.state.update(show_performance_panel=True)
        self.window = self.program.window
        self.window.resize(width, height)
        self.program.models.set_entries(sample_entries())
        self.window.show_page(Page.CHAT)
        self.window.show()
        self.window.show_memory(sample_memory(0))

    def load(self) -> None:
        """SAMPLE_MODEL is in memory."""
        self.program.current.load(SAMPLE_MODEL.path)
        self.engine.step()
        self.window.show_memory(sample_memory(SAMPLE_MODEL.need.total_bytes + 90_000_000))

    def settle(self) -> None:
        """Let everything be laid out and painted."""
        QCursor.setPos(self.window.mapToGlobal(self.window.rect().center()))  # over nothing that lights up
        for _ in range(20):
            QTest.qWait(30)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Run the event loop until it holds, some seconds at most."""
        for _ in range(500):
            if condition():
                return
            QTest.qWait(20)
        raise TimeoutError("the scene did not come about")

    def close(self) -> None:
        """End the program as at the end of a run."""
        self.window.hide()
        self.program.end()
        self.program.deleteLater()
        self.window.deleteLater()


def chat(stage: Stage) -> None:
    stage.load()
    open_sample_chat(stage)
    play(stage.engine, steady_times(160))
    stage.engine.state_changed.emit(EngineState.READY)


def chat_writing(stage: Stage) -> None:
    stage.load()
    open_sample_chat(stage)
    stage.engine.hold = True
    words = re.findall(r"\S+\s*", ANSWER_IN_WRITING)
    stage.engine.answers.append(Answer(tuple(words), prompt_tokens=412, reused_tokens=389))
    stage.program.chat_page.composer.set_text(QUESTION_NOW)
    stage.program.chat_page.composer.button.click()
    stage.wait_for(lambda: any(call[0] == "generate" for call in stage.engine.calls))
    for _ in words[:-1]:
        stage.engine.step()


def chat_empty(stage: Stage) -> None:
    stage.load()


def chat_no_panel(stage: Stage) -> None:
    stage.load()
    open_sample_chat(stage)
    stage.program.state.update(show_performance_panel=False)


def chat_loading(stage: Stage) -> None:
    stage.engine.hold = True
    stage.program.current.load(SAMPLE_MODEL.path)
    stage.engine.progress.emit(Progress(Phase.LOAD, 430, 1000))


def chat_too_large(stage: Stage) -> None:
    path = Path("/models/qwen/Qwen2.5-14B-Instruct-Q4_K_M.gguf")
    need = MemoryNeed(7_600_000_000, 1_100_000_000, 500_000_000)
    sentence = (
        "Qwen2.5-14B-Instruct-Q4_K_M needs 9.2 GB: 7.6 for the weights, 1.1 for the conversation (KV cache), "
        "0.5 to work in. 8.6 GB of memory are free."
    )
    stage.engine.load_outcomes.append(TooLarge(path, need, 8_600_000_000, sentence))
    stage.program.current.load(path)
    stage.engine.step()


def chat_crashed(stage: Stage) -> None:
    stage.load()
    stage.engine.crash(
        "The engine was ended by SIGKILL while it loaded Qwen3 1.7B: most likely the system was out of memory.",
        "Take a smaller model or a smaller context, or close other programs, and load it again.",
    )


def chat_suspect(stage: Stage) -> None:
    stage.window.notice.show_notice(
        "The last time, Bantam or the computer went down while loading Qwen2.5-14B-Instruct-Q4_K_M.gguf. "
        "It was not loaded again, so that it cannot happen twice.",
        "Load it anyway",
        lambda: None,
    )


def panel_answering(stage: Stage) -> QWidget:
    stage.load()
    play(stage.engine, steady_times(200))
    return stage.window.panel


def panel_over_target(stage: Stage) -> QWidget:
    stage.load()
    play(stage.engine, [180 + index * 0.6 + (index * 7919 % 23) for index in range(240)])
    return stage.window.panel


def panel_reading(stage: Stage) -> QWidget:
    stage.load()
    stage.engine.hold = True
    stage.engine.state_changed.emit(EngineState.GENERATING)
    stage.engine.prompt_ready.emit(PromptReady(2112, 0, 0, 4096))
    stage.engine.progress.emit(Progress(Phase.PREFILL, 512, 2112))
    return stage.window.panel


def picker(stage: Stage) -> QWidget:
    stage.load()
    stage.window.top.picker.open()
    return stage.window.top.picker.popup()


def models(stage: Stage) -> None:
    stage.load()
    stage.window.show_page(Page.MODELS)
    stage.program.models_page.select(SAMPLE_MODEL.path)


def models_broken(stage: Stage) -> None:
    stage.load()
    stage.window.show_page(Page.MODELS)
    stage.program.models_page.select(Path("/home/me/Downloads/Mistral-7B-Instruct-v0.3-Q4_K_M.gguf"))
    stage.program.models_page.notice.show_notice("gemma-3-4b-it-Q4_0 was deleted.", "Undo", lambda: None)


def models_empty(stage: Stage) -> None:
    stage.program.models.set_entries(())
    stage.window.show_page(Page.MODELS)


def models_narrow(stage: Stage) -> None:
    stage.load()
    stage.window.resize(900, 600)
    stage.window.show_page(Page.MODELS)
    stage.program.models_page.select(SAMPLE_MODEL.path)


def settings(stage: Stage) -> None:
    stage.load()
    stage.program.settings.update(model_folders=("/media/usb/models",))
    stage.window.show_page(Page.SETTINGS)


def settings_reload(stage: Stage) -> None:
    stage.load()
    stage.program.settings.update(context_tokens=8192)
    stage.window.show_page(Page.SETTINGS)
    stage.window.show_failure(
        Failure("The settings could not be saved: No space left on device.", "Free some space.", "traceback")
    )


def settings_end(stage: Stage) -> None:
    stage.load()
    stage.window.show_page(Page.SETTINGS)
    stage.settle()
    bar = stage.program.settings_page.area.verticalScrollBar()
    bar.setValue(bar.maximum())


SCENES: tuple[Callable[[Stage], QWidget | None], ...] = (
    chat,
    chat_writing,
    chat_no_panel,
    chat_empty,
    chat_loading,
    chat_too_large,
    chat_crashed,
    chat_suspect,
    panel_answering,
    panel_over_target,
    panel_reading,
    picker,
    models,
    models_broken,
    models_empty,
    models_narrow,
    settings,
    settings_reload,
    settings_end,
)


def steady_times(count: int) -> list[float]:
    """ms of tokens around 86, now and then a slow one."""
    return [86 + (index * 7919 % 23) - 11 + (60 if index % 57 == 0 else 0) for index in range(count)]


def open_sample_chat(stage: Stage) -> None:
    """Some conversations in the list, one of them open."""
    opened: list[str] = []
    stage.program.storage.run(store_sample_chats, opened.append)
    stage.wait_for(lambda: bool(opened))
    page = stage.program.chat_page
    page.shelf.refresh()
    page.open(opened[0])
    stage.wait_for(lambda: page.conversation.id == opened[0])


def store_sample_chats(store: ChatStore) -> str:
    """The id of the conversation to open."""
    for question in ("Rename all files of a folder to lower case", "What does functools.cache keep alive?"):
        add_turn(store, store.create().id, None, question, "With `pathlib`, in one loop.")
    conversation_id = store.create().id
    answer_id = add_turn(store, conversation_id, None, QUESTION, ANSWER)
    add_turn(store, conversation_id, answer_id, QUESTION_2, ANSWER_2)
    return conversation_id


def add_turn(store: ChatStore, conversation_id: str, parent_id: int | None, question: str, answer: str) -> int:
    """A question and its finished answer; the answer's id."""
    asked = store.add_user_message(conversation_id, parent_id, question)
    begun = store.begin_answer(conversation_id, asked.id, SAMPLE_MODEL.name)
    store.finish_answer(begun.id, answer, dataclasses.replace(SAMPLE_STATISTICS, new_tokens=len(answer) // 4))
    return begun.id


def play(engine: FakeEngine, times_ms: list[float]) -> None:
    """An answer whose tokens took these times, up to its last token."""
    engine.state_changed.emit(EngineState.GENERATING)
    engine.prompt_ready.emit(PromptReady(830, 812, 0, 4096))
    for ms in times_ms:
        engine.token.emit(Token(" word", ms))
    median = sorted(times_ms)[len(times_ms) // 2]
    statistics = dataclasses.replace(SAMPLE_STATISTICS, ms_per_token_median=median, tokens_per_second=1000 / median)
    engine.answer_finished.emit(statistics)


def sample_memory(child_bytes: int) -> MemorySample:
    return MemorySample(16 * GB, int(9.4 * GB) - child_bytes, child_bytes, 96_000_000, 180.0)


def sample_entries() -> tuple[ModelEntry, ...]:
    """The rows of a person who has used Bantam for some weeks."""
    downloads = Path("/home/me/Downloads")
    return (
        _entry(Path("/models/google/gemma-3-4b-it-Q4_0.gguf"), "gemma-3-4b-it", "gemma3", "Q4_0", 3.9, 2.4, 131072),
        _entry(
            Path("/media/usb/models/Meta-Llama-3.1-8B-Instruct-with-a-very-long-name-of-its-maker-Q5_K_M.gguf"),
            "Meta Llama 3.1 8B Instruct with a very long name of its maker", "llama", "Q5_K_M", 8.0, 5.7, 131072,
            ModelSource.EXTRA_FOLDER,
        ),
        ModelEntry(
            downloads / "Mistral-7B-Instruct-v0.3-Q4_K_M.gguf", "Mistral-7B-Instruct-v0.3-Q4_K_M", int(2.1 * GB), None,
            "The file is cut off: 2,214,592,512 of 4,372,812,000 bytes are there. Download it again.",
            ModelSource.SINGLE_FILE,
        ),
        _entry(SAMPLE_MODEL.path, "Qwen3 1.7B", "qwen3", "Q4_K_M", 1.72, 1.107, 40960),
        _entry(STARTER_MODEL, "stdlib 21M", "llama", "Q8_0", 0.021, 0.0229, 2048, ModelSource.STARTER),
        ModelEntry(
            Path("/media/usb2/phi-4-Q4_K_M.gguf"), "phi-4-Q4_K_M", 0, None,
            "The file is not there now: its drive may not be connected.", ModelSource.AWAY,
        ),
        _entry(Path("/models/qwen/Qwen2.5-32B.gguf"), "Qwen2.5 32B Instruct", "qwen2", "Q4_K_M", 32.8, 19.9, 32768),
    )  # fmt: skip


def _entry(
    path: Path,
    name: str,
    architecture: str,
    quantization: str,
    billions: float,
    size_gb: float,
    context: int,
    source: ModelSource = ModelSource.MODELS_FOLDER,
) -> ModelEntry:
    header = GgufHeader(
        architecture=architecture, name=name, parameters=int(billions * 1e9), quantization=quantization,
        context_tokens=context, layers=28, embedding=2048, heads=16, kv_heads=8, vocabulary=151_936,
        has_chat_template=True, file_bytes=int(size_gb * GB), tensor_bytes=int(size_gb * GB), license="apache-2.0",
    )  # fmt: skip
    return ModelEntry(path, name, header.file_bytes, header, "", source)
