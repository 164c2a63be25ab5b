"""Past verdicts, and what they say about a new study: which losses are worth a trial, and where winners lay."""

from losstune.advice.choice import Advice, LossAdvice, advise
from losstune.advice.database import known, read
from losstune.advice.records import Data, Noise, PastVerdict, Winner

__all__ = ["Advice", "Data", "LossAdvice", "Noise", "PastVerdict", "Winner", "advise", "known", "read"]
