from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.engine import activations
from app.engine.activations import Activation, ActivationReader
from app.engine.llama import Model, ModelOptions
from app.errors import Cancelled, LoadError
from app.quantize.importance_file import Collector
from tests.app.quantize.reading import WINDOW, WINDOWS, model, read_windows, windows
from tests.app.quantize.small_mixture import EXPERTS, USED, write_mixture
from tests.real_models import CALIBRATION

__all__ = ["model", "windows"]


class TestReadingActivations:
    def test_windows_add_up(self, model: Model, windows: list[list[int]]) -> None:
        """The second window is left before the output matrix: nothing may be missing in it."""
        together, alone = Collector(), Collector()
        read_windows(model, windows, together)
        for window in windows:
            read_windows(model, [window], alone)
        assert together.entries.keys() == alone.entries.keys()
        for name, sums in together.entries.items():
            np.testing.assert_allclose(sums.squares, alone.entries[name].squares, rtol=1e-5)
            assert sums.counts.tolist() == alone.entries[name].counts.tolist() == [WINDOWS * WINDOW]

    def test_shared_inputs_are_shown_with_every_matrix(self, model: Model, windows: list[list[int]]) -> None:
        seen: dict[str, tuple[int, np.ndarray]] = {}
        read_windows(model, windows[:1], lambda a: seen.update({a.weight: (a.input, a.rows[0, 0].copy())}))
        for group in (("attn_q", "attn_k", "attn_v"), ("ffn_gate", "ffn_up")):
            numbers = {seen[f"blk.1.{name}.weight"][0] for name in group}
            assert len(numbers) == 1, group
            for name in group[1:]:
                one, other = (seen[f"blk.1.{which}.weight"][1] for which in (group[0], name))
                np.testing.assert_array_equal(one, other)
        assert seen["blk.1.attn_q.weight"][0] != seen["blk.1.ffn_up.weight"][0]

    def test_large_vocabularies_are_read_in_smaller_batches(
        self, model: Model, windows: list[list[int]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole, parts = Collector(), Collector()
        read_windows(model, windows, whole)
        monkeypatch.setattr(activations, "batch_rows", lambda _vocabulary: WINDOW // 2)
        read_windows(model, windows, parts)
        for name, sums in whole.entries.items():
            assert np.abs(sums.squares - parts.entries[name].squares).sum() < 0.01 * sums.squares.sum()
            assert sums.counts == parts.entries[name].counts

    @pytest.mark.parametrize(("vocabulary", "rows"), [(4_096, 512), (128_256, 256), (262_144, 128), (2_000_000, 128)])
    def test_batches_by_vocabulary(self, vocabulary: int, rows: int) -> None:
        assert activations.batch_rows(vocabulary) == rows

    def test_an_error_of_the_consumer_ends_the_reading(self, model: Model, windows: list[list[int]]) -> None:
        def fail(activation: Activation) -> None:
            if "blk.2" in activation.weight:
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            read_windows(model, windows, fail)

    def test_another_layout_of_tensors_is_refused(
        self, model: Model, windows: list[list[int]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = activations._ggml()

        class Other:
            ggml_op_name = real.ggml_op_name
            ggml_get_data = ggml_nelements = staticmethod(lambda _tensor: 1)
            ggml_get_name = staticmethod(lambda _tensor: b"other")

        monkeypatch.setattr(activations, "_ggml", Other)
        with pytest.raises(LoadError, match="laid out in another way"):
            read_windows(model, windows, Collector())


class TestMixtures:
    """Of experts: a small random model; the router's choice is computed again in numpy."""

    def test_each_expert_counts_the_tokens_sent_to_it(self, tmp_path: Path) -> None:
        router = write_mixture(tmp_path / "mixture.gguf")
        loaded = Model(tmp_path / "mixture.gguf", ModelOptions(repack=False), lambda _share: True)
        rows: dict[str, np.ndarray] = {}
        collector = Collector()
        try:
            tokens = loaded.tokenize(CALIBRATION.read_text()[:2000], add_bos=True)[:WINDOW]
            keep = lambda a: rows.update({a.weight: a.rows[0, 0].copy()})  # noqa: E731
            read_windows(loaded, [tokens], collector, keep)
        finally:
            loaded.close()
        flow = rows["blk.0.ffn_gate_inp.weight"]
        chosen = np.argsort(-(flow @ router.T), axis=1)[:, :USED]
        for name in ("ffn_gate_exps", "ffn_up_exps"):
            sums = collector.entries[f"blk.0.{name}.weight"]
            for expert in range(EXPERTS):
                mine = flow[(chosen == expert).any(1)]
                assert sums.counts[expert] == len(mine)
                np.testing.assert_allclose(sums.squares[expert], np.square(mine).sum(0), rtol=1e-3)
        down = collector.entries["blk.0.ffn_down_exps.weight"]
        assert down.counts.tolist() == sums.counts.tolist()
        assert down.squares.shape[0] == EXPERTS


def test_a_stop_ends_the_window_that_is_being_read(model: Model, windows: list[list[int]]) -> None:
    seen: list[str] = []
    reader = ActivationReader(model, WINDOW, 1, lambda a: seen.append(a.weight), lambda: len(seen) == 50)
    try:
        reader.read(windows[0])
        with pytest.raises(Cancelled):
            reader.read(windows[1])
    finally:
        reader.close()
    assert seen[-1].startswith("blk.1.")
