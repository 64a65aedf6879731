"""Pipelines of scikit-learn, and what their scores are worth: p-values against scores of minutes that they were not fitted on.

Hours are blocks (conformal prediction by cross-validation): for each hour of the learned day a pipeline is fitted on all others
and scores that one. What comes later is scored by one that was fitted on all. Each thing has its own pipeline and its own
history; how surprising the most surprising of all things was in each learned minute says what that is worth for the site, as it
does with our models.
"""

# scikit-learn ships no type information.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, cast

import numpy as np
import polars as pl
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import OneClassSVM

from detection.anomaly.history import TAIL
from tests.evaluation.features import MINUTES_AN_HOUR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from tests.evaluation.features import Seen, Thing

SEED: Final = 20_261

FARTHEST: Final = 10.0
"""Standard deviations to which features are cut: beyond it is far, and how far says nothing where one never moved before."""

LEAST_BLOCKS: Final = 2
"""Hours in which a thing must have been heard to be learned."""


class Pipeline(Protocol):
    """What is asked of a pipeline; a low score is unusual."""

    def fit(self, numbers: NDArray[np.float64]) -> Self:
        """Learn from rows of features."""
        ...

    def score_samples(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """A score for each row."""
        ...


class Components(BaseEstimator):
    """Distance by probabilistic PCA (Tipping and Bishop): along the components and off them, each in its own deviation.

    scikit-learn's own score is the likelihood of the same, which does not exist where a feature never varied.

    Args:
        share: of the variance that the components have.
    """

    def __init__(self, share: float) -> None:
        self.share = share

    def fit(self, numbers: NDArray[np.float64], targets: None = None) -> Self:
        """Learn from rows of features."""
        del targets  # a pipeline gives them
        # Where nothing varies the shares of the variance are none.
        with np.errstate(invalid="ignore"):
            self.components_ = PCA(n_components=self.share, svd_solver="full").fit(numbers)
        return self

    def score_samples(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """A score for each row, low for what is far."""
        along = self.components_.transform(numbers)
        off = ((numbers - self.components_.inverse_transform(along)) ** 2).sum(axis=1)
        inside = (along**2 / np.maximum(self.components_.explained_variance_, LEAST_VARIANCE)).sum(axis=1)
        return -(inside + off / max(float(self.components_.noise_variance_), LEAST_VARIANCE))


class MinMax(BaseEstimator):
    """What our models do, of the same features: the farthest beyond the least and greatest of any, in widths between them."""

    def fit(self, numbers: NDArray[np.float64], targets: None = None) -> Self:
        """Learn from rows of features."""
        del targets  # a pipeline gives them
        self.least_, self.most_ = numbers.min(axis=0), numbers.max(axis=0)
        self.width_ = np.maximum(self.most_ - self.least_, np.sqrt(LEAST_VARIANCE))
        return self

    def score_samples(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """A score for each row, low for what is far."""
        return -(np.maximum(numbers - self.most_, self.least_ - numbers) / self.width_).max(axis=1)


class Chance(BaseEstimator):
    """Scores that have nothing to do with what is scored."""

    def fit(self, numbers: NDArray[np.float64], targets: None = None) -> Self:
        """Nothing is learned."""
        del targets  # a pipeline gives them
        self.source_ = np.random.default_rng([SEED, len(numbers)])
        return self

    def score_samples(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """A score for each row."""
        return self.source_.random(len(numbers))


LEAST_VARIANCE: Final = 0.01
"""Of features that are normalised: what varied less is taken to vary so much."""


def _pipeline(last: Any) -> Pipeline:
    cut = FunctionTransformer(np.clip, kw_args={"a_min": -FARTHEST, "a_max": FARTHEST})
    return cast("Pipeline", make_pipeline(StandardScaler(), cut, last))


PIPELINES: Final[Mapping[str, Callable[[], Pipeline]]] = {
    "isolation forest": lambda: _pipeline(IsolationForest(n_estimators=100, random_state=SEED)),
    "one-class SVM, nu 0.01": lambda: _pipeline(OneClassSVM(nu=0.01, gamma="scale")),
    "one-class SVM, nu 0.1": lambda: _pipeline(OneClassSVM(nu=0.1, gamma="scale")),
    "local outlier factor, 10": lambda: _pipeline(LocalOutlierFactor(n_neighbors=10, novelty=True)),
    "local outlier factor, 35": lambda: _pipeline(LocalOutlierFactor(n_neighbors=35, novelty=True)),
    "PCA, 95 %": lambda: _pipeline(Components(0.95)),
    "PCA, 80 %": lambda: _pipeline(Components(0.80)),
    "min and max": lambda: _pipeline(MinMax()),
    "chance": lambda: _pipeline(Chance()),
}
"""The pipelines that are compared, features normalised in each; and what the simplest finds of the same features, and chance."""


def out_of_fold(make: Callable[[], Pipeline], seen: Seen) -> NDArray[np.float64]:
    """How unusual each minute is to a pipeline that was fitted on all hours but its own."""
    hours = seen.windows // MINUTES_AN_HOUR
    scores = np.zeros(len(hours))
    for hour in np.unique(hours):
        inside = hours == hour
        scores[inside] = -make().fit(seen.numbers[~inside]).score_samples(seen.numbers[inside])
    return scores


def p_values(history: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each score is worth against scores of history, rising: (1 + as high ones) / (1 + all).

    Beyond the highest it falls on by the power law of our models, in widths of the upper half of history, and to the square of
    the least at most: what was seen n times bears no more.
    """
    count = len(history)
    p = (1 + count - np.searchsorted(history, scores, side="left")) / (1 + count)
    width = max(float(history[-1] - np.median(history)), 1e-9 * max(1.0, abs(float(history[-1]))))
    excess = np.maximum(scores - history[-1], 0.0) / width
    return np.maximum(p / (1 + excess) ** TAIL, 1 / (1 + count) ** 2)


@dataclass(frozen=True, slots=True)
class Judge:
    """A pipeline for each thing of the learned day, and what they said of it.

    Attributes:
        fitted: pipeline of each thing, and its scores of the learned day, rising.
        highest: surprise of the most surprising thing in each learned minute, rising.
    """

    fitted: Mapping[Thing, tuple[Pipeline, NDArray[np.float64]]]
    highest: NDArray[np.float64]

    @classmethod
    def learned(cls, make: Callable[[], Pipeline], lesson: Mapping[Thing, Seen]) -> Self:
        """What is learned of a day."""
        fitted: dict[Thing, tuple[Pipeline, NDArray[np.float64]]] = {}
        said = [_SURPRISES]
        for thing, seen in lesson.items():
            if len(np.unique(seen.windows // MINUTES_AN_HOUR)) < LEAST_BLOCKS:
                continue
            scores = out_of_fold(make, seen)
            history = np.sort(scores)
            fitted[thing] = make().fit(seen.numbers), history
            # Of these each is one of history itself.
            rank = len(history) - np.searchsorted(history, scores, side="left")
            said.append(pl.DataFrame({"window": seen.windows, "surprise": -np.log(rank / len(history))}))
        highest = pl.concat(said).group_by("window").agg(pl.col("surprise").max()).get_column("surprise").sort()
        return cls(fitted, highest.to_numpy())

    def told(self, day: Mapping[Thing, Seen]) -> pl.DataFrame:
        """What is unusual on a day: `window`, `hosts` and `score`, which is -log p of the site."""
        parts = [_TOLD]
        for thing, seen in day.items():
            if thing not in self.fitted:
                continue
            pipeline, history = self.fitted[thing]
            surprise = -np.log(p_values(history, -pipeline.score_samples(seen.numbers)))
            hosts = pl.Series([list(thing)], dtype=pl.List(pl.String)).new_from_index(0, len(surprise))
            parts.append(pl.DataFrame({"window": seen.windows, "hosts": hosts, "score": self.of_site(surprise)}))
        return pl.concat(parts)

    def of_site(self, surprise: NDArray[np.float64]) -> NDArray[np.float64]:
        """-log p of minutes of the site in which something was as surprising; beyond all history as model `together` has it."""
        whole = len(self.highest) + 1
        p = (whole - np.searchsorted(self.highest, surprise, side="left")) / whole
        most = float(self.highest[-1]) if len(self.highest) else 0.0
        return -np.log(p) + 0.5 * np.maximum(surprise - most, 0.0)


_SURPRISES: Final = pl.DataFrame(schema={"window": pl.Int64(), "surprise": pl.Float64()})
_TOLD: Final = pl.DataFrame(schema={"window": pl.Int64(), "hosts": pl.List(pl.String()), "score": pl.Float64()})
