"""MiniGrid as pixels."""
