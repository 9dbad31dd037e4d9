from openai import *  # expect: star-import from openai import *

client = OpenAI()  # expect: client OpenAI
client.chat.completions.create(model="gpt-4o-mini", messages=HI)  # expect: call chat.completions.create; hard-coded-model gpt-4o-mini
