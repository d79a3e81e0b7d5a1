"""The errors a user can meet, each named, each with its cure in the message.

ShoptalkError
├── RecipeError (ValueError)        a recipe key or value is wrong
├── PreflightError (RuntimeError)   something that a later stage needs is not there
├── LexiconError (ValueError)       a row of a lexicon is wrong; says which row
├── ManifestError (ValueError)      a JSONL record cannot be read; says which line
├── ImportFormatError (ValueError)  a test set that cannot be imported; says which line
├── TextError (ValueError)        a file that is no text; says what was tried
├── CoverageError (ValueError)      a stage could not make what the recipe asks for
│   └── ProposalError               a language model proposed nothing usable for a list of terms
├── PrivacyError (ValueError)       a sentence may tell who a person is
├── LeakError (ValueError)          something of the test data reached the training data
├── AudioError (ValueError)         audio that cannot be used
│   └── AudioTooLongError           more seconds than allowed
├── TermError (ValueError)          a term's text cannot be spoken or matched
├── ModelError (ValueError)         a model that cannot be had, or is not what it says
│   ├── ChecksumError               wrong bytes
│   ├── UnsafeCheckpointError       a checkpoint that could run code
│   ├── HubUnreachableError         a hub name where no hub can be reached
│   └── WrongModelError             a model that answers, but not as the right one does
├── DiskFullError (RuntimeError)    no space is left for what is fetched or written
├── MissingToolError (RuntimeError) a program or a package of an extra is not installed
├── LlmError (RuntimeError)         the LLM endpoint failed
│   ├── LlmAnswerError              one answer of it that cannot be used; another may be
│   ├── LlmUselessError             so many answers in a row were of no use that it is asked no more
│   └── LlmBudgetError              the tokens that a stage may spend are spent
├── ClusterError (RuntimeError)     a cluster that cannot be reached, or whose nodes cannot do the work
├── TtsError (RuntimeError)         the service that speaks failed
├── RecognitionError (RuntimeError) another recogniser failed
├── DeviceError (ValueError)        a processor that cannot be narrowed as asked, a GPU that is not there
├── GpuMemoryError (RuntimeError)   the memory of the GPU does not suffice
├── TrainingError (RuntimeError)    training cannot start or go on
├── ScoringError (ValueError)       hypotheses and references that do not belong together
├── PolicyError (ValueError)        a policy of the gate is wrong
├── RegistryError (RuntimeError)    the model registry cannot do what was asked
├── CapacityError (ValueError)      a load, a target or measured figures that no plan can be made of
├── ApiKeyError (ValueError)        an API key, or a file of them, that cannot be used
├── BindingError (ValueError)       an address that must not be served without an API key
├── TelemetryError (ValueError)     spans or the audit log cannot be written where they are asked for
├── KeptAudioError (ValueError)     recordings that cannot be kept, or kept ones that cannot be read
├── EncryptionKeyError (ValueError) the key of what the service keeps is none, or another one
├── StoreError (RuntimeError)       the folder or the database of jobs and corrections cannot be used
├── ObjectStoreError (RuntimeError) an object that is not there, or that may not be read or written
│   └── ObjectStoreUnreachableError the object store does not answer now
└── BoostError (ValueError)         a phrase that cannot be boosted
"""


class ShoptalkError(Exception):
    """Base of every error whose message is written for the user; the CLI prints it without a traceback."""


class RecipeError(ShoptalkError, ValueError):
    pass


class PreflightError(ShoptalkError, RuntimeError):
    pass


class LexiconError(ShoptalkError, ValueError):
    pass


class ManifestError(ShoptalkError, ValueError):
    pass


class ImportFormatError(ShoptalkError, ValueError):
    pass


class TextError(ShoptalkError, ValueError):
    pass


class CoverageError(ShoptalkError, ValueError):
    pass


class ProposalError(CoverageError):
    pass


class PrivacyError(ShoptalkError, ValueError):
    pass


class LeakError(ShoptalkError, ValueError):
    pass


class AudioError(ShoptalkError, ValueError):
    pass


class AudioTooLongError(AudioError):
    pass


class TermError(ShoptalkError, ValueError):
    pass


class ModelError(ShoptalkError, ValueError):
    pass


class ChecksumError(ModelError):
    pass


class UnsafeCheckpointError(ModelError):
    pass


class HubUnreachableError(ModelError):
    pass


class WrongModelError(ModelError):
    pass


class DiskFullError(ShoptalkError, RuntimeError):
    pass


class MissingToolError(ShoptalkError, RuntimeError):
    pass


class LlmError(ShoptalkError, RuntimeError):
    pass


class LlmAnswerError(LlmError):
    def __init__(self, message: str, *, kind: str, text: str = "") -> None:
        """`kind` says in a few words what is wrong, e.g. ``cut off``: what is counted of many answers.

        `text` is what there is of the answer, where a part of it may be used.
        """
        super().__init__(message)
        self.kind = kind
        self.text = text


class LlmUselessError(LlmError):
    pass


class LlmBudgetError(LlmError):
    pass


class ClusterError(ShoptalkError, RuntimeError):
    """A cluster cannot be reached, or a node of it lacks what the work needs."""


class TtsError(ShoptalkError, RuntimeError):
    pass


class RecognitionError(ShoptalkError, RuntimeError):
    pass


class DeviceError(ShoptalkError, ValueError):
    pass


class GpuMemoryError(ShoptalkError, RuntimeError):
    pass


class TrainingError(ShoptalkError, RuntimeError):
    pass


class ScoringError(ShoptalkError, ValueError):
    pass


class PolicyError(ShoptalkError, ValueError):
    pass


class RegistryError(ShoptalkError, RuntimeError):
    pass


class CapacityError(ShoptalkError, ValueError):
    pass


class ApiKeyError(ShoptalkError, ValueError):
    pass


class BindingError(ShoptalkError, ValueError):
    pass


class TelemetryError(ShoptalkError, ValueError):
    pass


class KeptAudioError(ShoptalkError, ValueError):
    pass


class EncryptionKeyError(ShoptalkError, ValueError):
    pass


class StoreError(ShoptalkError, RuntimeError):
    pass


class ObjectStoreError(ShoptalkError, RuntimeError):
    pass


class ObjectStoreUnreachableError(ObjectStoreError):
    pass


class BoostError(ShoptalkError, ValueError):
    pass
