from metacli.cli.app import run

run()
