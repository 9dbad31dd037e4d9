"""What a code base asks of OpenAI, found in its text, and what a profile makes of it. Needs the extra `migrate`."""
