"""`framecue doctor`: looks at all that FrameCue stands on, and names a cure for what is wrong. Changes nothing."""
