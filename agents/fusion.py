"""How the two scores of a passage, by words and by meaning, become one.

A convex combination of scores, each scaled by the least value it can take and by its best value for this query: BM25
from 0, cosine from -1. Unlike reciprocal-rank fusion it keeps how far apart passages are (Bruch, Gai and Ingber 2023,
"An Analysis of Fusion Functions for Hybrid Retrieval", arXiv 2210.11934, there TM2C2).

This file works on arrays that it is given; it imports no numpy and knows nothing of how scores are made.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Fusion:
    """Settings of the search by words and of its share in the fused score.

    `k1` and `b` are common BM25 settings for collections of short passages; the share was chosen on the training
    questions of TAT-QA, where everything from 0.3 to 0.6 is within half a point of nDCG@10.
    """

    lexical_share: float = 0.4  # 0: by meaning only, 1: by words only
    k1: float = 0.9  # how soon repeating a word stops counting
    b: float = 0.4  # 0: length does not matter, 1: scores are divided by relative length

    def __post_init__(self) -> None:
        if not (0 <= self.lexical_share <= 1 and self.k1 >= 0 and 0 <= self.b <= 1):
            raise ValueError(f"{self} is out of range; expected 0 <= lexical_share <= 1, k1 >= 0, 0 <= b <= 1")

    def combine(self, lexical: "Scores", cosine: "Scores") -> "Scores":
        """The fused score of each passage, 0 to 1: (N,) from (N,) BM25 scores and (N,) cosines of one query.

        Where no passage shares a word with the query, cosine alone decides.
        """
        nearest = float(cosine.max()) + 1
        meaning = (cosine + 1) / nearest if nearest > 0 else cosine + 1
        best = float(lexical.max())
        if best <= 0:
            return meaning
        return self.lexical_share * (lexical / best) + (1 - self.lexical_share) * meaning
