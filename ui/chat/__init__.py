"""The chat page: conversations, transcript, composer, the settings of one chat."""
