"""python -m fullclip"""

from fullclip.cli import main

main()
