# Raised in a request that runs past its deadline. No Exception: what catches all of those goes on.
class RequestOverdue(BaseException):
    def __init__(self, *arguments):
        default = ("the request ran past its deadline (harakiri), and its client was told so",)
        super().__init__(*(arguments or default))


RequestOverdue.__module__ = "imperator"
