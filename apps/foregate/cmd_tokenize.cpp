#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/run_context.h"
#include "commands.h"
#include "hub/resolve.h"
#include "output.h"
#include "text/tokenizer/formats/tokenizer_path.h"
#include "text/tokenizer/tokenizer.h"

namespace foregate {
namespace {

constexpr const char* kFooter =
    "examples:\n"
    "  echo 'Hello, world' | foregate tokenize --tokenizer MODEL_DIR/tokenizer.json\n"
    "  foregate tokenize --tokenizer MODEL_DIR/tokenizer.json --json < texts.jsonl\n"
    "  foregate tokenize --tokenizer Qwen/Qwen1.5-MoE-A2.7B < texts.txt\n"
    "With --json every line of input is a JSON object with a \"text\", and every line of output "
    "{\"ids\": [...]}.";

struct Arguments {
  std::string tokenizer;
  bool no_special = false;
  bool json = false;
};

/// The text of one line of --json input.
std::string text_of(const std::string& line, int64_t number) {
  const std::string where = "standard input, line " + std::to_string(number);
  const Json json = parse_json(line, where);
  return JsonReader(json, where).string("text");
}

void run_tokenize(const Arguments& arguments, const RunContext& run) {
  const fs::path model =
      hub::find_model(arguments.tokenizer, {.files = {"tokenizer.json"}}, hub::read_environment());
  const text::Tokenizer tokenizer = text::Tokenizer::load(text::tokenizer_path(model));
  for (const std::string& note : tokenizer.notes()) run.log.warning("{}", note);
  std::string line;
  for (int64_t number = 1; std::getline(std::cin, line); ++number) {
    run.stop.check("lines printed so far are whole");
    const std::string text = arguments.json ? text_of(line, number) : line;
    const std::vector<int32_t> ids = tokenizer.encode(text, !arguments.no_special);
    if (arguments.json) {
      print_line(Json{{"ids", ids}}.dump());
      continue;
    }
    std::string shown;
    for (const int32_t id : ids) {
      if (!shown.empty()) shown += ' ';
      shown += std::to_string(id);
    }
    print_line(shown);
  }
}

}  // namespace

void add_tokenize_command(CLI::App& app, const RunContext& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("tokenize", "Show the token ids of lines of text from standard input");
  command->footer(kFooter);
  command
      ->add_option("--tokenizer", arguments->tokenizer,
                   "A tokenizer.json, GGUF file or file of tiktoken's ranks, a model's directory, "
                   "or OWNER/NAME "
                   "of a model that was pulled")
      ->required();
  command->add_flag("--no-special", arguments->no_special,
                    "Without the tokens a post-processor adds");
  command->add_flag("--json", arguments->json, "JSON lines in and out");
  command->callback([arguments, &run] { run_tokenize(*arguments, run); });
}

}  // namespace foregate
