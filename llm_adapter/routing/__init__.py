"""Which server a call goes to, with which key, through which proxy, and on which terms of time and number."""
