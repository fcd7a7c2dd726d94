"""The list of commands in commands.txt, and how answers are held against it."""

import json
import re

# Marks the end of an answer where a client prints them one after the other.
END = "end-of-an-answer"


class Case:
    """A command, what Redis answers, and what a ring answers if that is something else."""

    def __init__(self, line):
        self.line, self.words, self.redis, self.ring, self.reason = line, words(line), None, None, None

    def of_ring(self, names):
        """What a ring answers, and which difference that is."""
        if self.reason is None:
            return self.redis, None
        return json.loads(json.dumps(self.ring).replace("<nodes>", names)), self.reason


class Tour:
    def __init__(self, text):
        self.cases = []
        for number, line in enumerate(text.splitlines(), start=1):
            mark, _, rest = line.partition(" ")
            if mark == ">":
                self.cases.append(Case(rest))
            elif mark == "=":
                self.cases[-1].redis = json.loads(rest)
            elif mark == "!":
                self.cases[-1].reason, answer = rest.split(" ", 1)
                self.cases[-1].ring = json.loads(answer)
            elif line and mark != "#":
                raise ValueError(f"commands.txt, line {number}: begins with none of > = ! #")

    def commands(self):
        return [case.words for case in self.cases]

    def as_lines(self):
        """For redis-cli, with a line after each answer that tells where it ends."""
        return "".join(f"{case.line}\nECHO {END}\n" for case in self.cases)

    @staticmethod
    def names(ring):
        return "|".join(f"127.0.0.1:{port}" for port in ring.ports)


def words(line):
    """The words of a line as Redis reads one."""
    found = []
    for quoted, bare in re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', line):
        found.append(bare or re.sub(r'\\x([0-9a-f]{2})|\\(.)', unescaped, quoted))
    return found


def unescaped(match):
    if match.group(1):
        return chr(int(match.group(1), 16))
    return {"n": "\n", "r": "\r", "t": "\t"}.get(match.group(2), match.group(2))


def is_like(wanted, answer, protocol):
    """Whether an answer is what the list says. Some strings there stand for more than themselves."""
    if isinstance(wanted, dict) and list(wanted) == ["error"]:
        return isinstance(answer, dict) and is_error_like(wanted["error"], answer.get("error", ""))
    if isinstance(wanted, dict) and list(wanted) == ["unordered"]:
        return isinstance(answer, list) and sorted(answer) == sorted(wanted["unordered"])
    if isinstance(wanted, dict):
        return isinstance(answer, (list, dict)) and is_map_like(wanted, answer, protocol)
    if isinstance(wanted, list):
        return isinstance(answer, list) and len(wanted) == len(answer) and all(
            is_like(part, other, protocol) for part, other in zip(wanted, answer))
    if isinstance(wanted, str) and (pattern := re.fullmatch(r"<(\S+) ?(.*)>", wanted)):
        return fits(pattern.group(1), pattern.group(2), answer, protocol)
    return type(wanted) is type(answer) and wanted == answer


def is_error_like(wanted, told):
    """Some libraries take off the first word of an error."""
    return told.rstrip() in (wanted.rstrip(), wanted.partition(" ")[2].rstrip())


def is_map_like(wanted, answer, protocol):
    """The older protocol has lists for maps."""
    if (protocol == 2) != isinstance(answer, list):
        return False
    if isinstance(answer, list):
        answer = dict(zip(answer[::2], answer[1::2]))
    return answer.keys() == wanted.keys() and all(is_like(wanted[key], answer[key], protocol) for key in wanted)


def fits(kind, detail, answer, protocol):
    between = re.fullmatch(r"(\d+)\.\.(\d+)", kind)
    if between:
        return type(answer) is int and int(between.group(1)) <= answer <= int(between.group(2))
    if kind == "text":
        return isinstance(answer, str) and all(re.search(rf"(^|\s){re.escape(name)}[=:]", answer) for name in detail.split())
    if kind == "like":
        return isinstance(answer, str) and re.fullmatch(detail, answer) is not None
    if kind == "map":
        if (protocol == 2) != isinstance(answer, list):
            return False
        return sorted(answer[::2] if protocol == 2 else answer) == sorted(detail.split())
    return isinstance(answer, {"int": int, "string": str, "array": list}[kind])


def lines_of_redis_cli(printed, n_answers):
    """The answers that redis-cli printed, as JSON has them."""
    ended = re.compile(rf'^"{END}"\n', re.MULTILINE)
    answers = ended.split(printed)
    if answers.pop().strip() or len(answers) != n_answers:
        raise ValueError(f"redis-cli gave {len(answers)} answers to {n_answers} commands")
    return [parsed(answer.rstrip("\n").split("\n")) for answer in answers]


ELEMENT = re.compile(r" *(\d+)([)~#]) ")


def parsed(lines):
    first = lines[0]
    if ELEMENT.match(first):
        return parsed_array(lines)
    if first in ("(empty array)", "(empty set)"):
        return []
    if first == "(empty hash)":
        return {}
    if first == "(nil)":
        return None
    if first.startswith("(integer) "):
        return int(first.removeprefix("(integer) "))
    if first.startswith("(error) "):
        return {"error": "\n".join(lines).removeprefix("(error) ")}
    if first.startswith('"') and len(lines) == 1:
        return unquoted(first)
    text = "\n".join(lines)
    # So it shows what some commands answer, errors too.
    return {"error": text} if text.startswith("ERR ") else text


def unquoted(text):
    letters = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b"}
    return re.sub(r'\\x([0-9a-f]{2})|\\(.)', lambda found: chr(int(found.group(1), 16)) if found.group(1)
                  else letters.get(found.group(2), found.group(2)), text[1:-1])


def parsed_array(lines):
    """Elements begin with their number, and go on in lines that are indented as far."""
    elements, is_map, width = [], False, len(ELEMENT.match(lines[0]).group())
    for line in lines:
        begins = ELEMENT.match(line)
        if begins and len(begins.group()) == width:
            is_map = begins.group(2) == "#"
            elements.append([line[width:]])
        else:
            elements[-1].append(line[width:])
    if not is_map:
        return [parsed(element) for element in elements]
    pairs = {}
    for element in elements:
        key, _, value = element[0].partition(" => ")
        pairs[unquoted(key)] = parsed([value, *element[1:]])
    return pairs
