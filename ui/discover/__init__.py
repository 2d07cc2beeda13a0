"""The page that searches the hub and shows a repository, with what would fit."""
