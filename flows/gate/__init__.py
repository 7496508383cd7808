"""What the flow does for a verdict: predictions compared, facts gathered, the champion tried."""
