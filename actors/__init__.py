"""One aggregate, one mailbox: the pure model and the actor that runs it."""
