"""Another company's SDK with methods of the same names."""

from groq import Groq

client = Groq()
client.chat.completions.create(model="llama-3.3-70b", messages=HI, logit_bias={"1": 5})
