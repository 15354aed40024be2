#include <malloc.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <new>
#include <string>

#include "base/error.h"
#include "commands.h"
#include "tensor/device/brief_waits.h"
#include "terminal/standard_streams.h"
#include "terminal/terminal.h"
#include "version.h"

namespace foregate {
namespace {

constexpr const char* kDescription =
    "foregate tells which experts a Mixture-of-Experts language model is about to route to.\n"
    "It collects routing traces, trains and evaluates predictors on them, reports on the routing, "
    "and simulates\nwhat they gain where experts do not fit into the card's memory.";

constexpr const char* kFooter =
    "examples:\n"
    "  foregate pull Qwen/Qwen1.5-MoE-A2.7B\n"
    "  foregate collect --model MODEL_DIR --data imdb=imdb.csv --data squad=dev-v2.0.json --output "
    "traces\n"
    "  foregate train --traces traces --predictor statistics --lead layer-1 --output predictor\n"
    "  foregate evaluate --traces traces --predictor predictor --predictor frequency\n"
    "  foregate analyze --traces traces --output report.html\n"
    "  foregate simulate --traces traces --budget 30% --hardware rtx4090 --expert-size 17MB\n"
    "  foregate generate --model MODEL_DIR --prompt 'Once upon a time'\n"
    "`foregate COMMAND --help` shows a command's options. Results go to stdout, talk to stderr.\n"
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.";

/// An exception of a library below, cut to its first line: the rest is a stack trace.
std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

/// CLI11 only says that a subcommand is required when the first word is none.
void require_known_command(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  std::string commands;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == argv[1]) return;
    commands += (commands.empty() ? "" : ", ") + command->get_name();
  }
  throw UsageError("there is no command '" + std::string(argv[1]) + "'; expected one of " +
                   commands);
}

/// A step of training or collecting takes tensors of some 30 MB and gives them back. Whether glibc
/// hands them to the system each time, which then clears their pages anew, depends by default on
/// what happens to lie behind them: up to twice the time for the same work.
void keep_freed_memory() {
  constexpr int kMapFrom = 32 << 20;  // the largest that glibc takes; its own moves up to it
  constexpr int kKept = 512 << 20;
  mallopt(M_MMAP_THRESHOLD, kMapFrom);
  mallopt(M_TRIM_THRESHOLD, kKept);
}

int run(Terminal& terminal, int argc, char** argv) {
  CLI::App app(kDescription, "foregate");
  app.footer(kFooter);
  app.set_version_flag("--version", std::string("foregate ") + kVersion);
  app.add_flag_callback(
      "-v,--verbose", [&] { terminal.set_verbosity(Verbosity::kVerbose); }, "Say more on stderr");
  app.add_flag_callback(
      "-q,--quiet", [&] { terminal.set_verbosity(Verbosity::kQuiet); },
      "Only warnings and errors on stderr");
  app.require_subcommand(1);
  app.fallthrough();
  add_pull_command(app, terminal.context());
  add_collect_command(app, terminal.context());
  add_generate_command(app, terminal.context());
  add_import_command(app, terminal.context());
  add_export_command(app, terminal.context());
  add_tokenize_command(app, terminal.context());
  add_inspect_command(app, terminal.context());
  add_train_command(app, terminal.context());
  add_evaluate_command(app, terminal.context());
  add_analyze_command(app, terminal.context());
  add_simulate_command(app, terminal.context());
  add_bench_command(app, terminal.context());
  require_known_command(app, argc, argv);
  const tensor::BriefWaits brief_waits;
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help_or_version) {
    return app.exit(help_or_version);
  } catch (const CLI::ParseError& error) {
    std::string command = "foregate";
    for (const CLI::App* parsed : app.get_subcommands()) command += " " + parsed->get_name();
    terminal.print_error(first_line(error.what()) + " (see " + command + " --help)");
    return static_cast<int>(ExitCode::kUsage);
  }
  return static_cast<int>(ExitCode::kDone);
}

}  // namespace
}  // namespace foregate

int main(int argc, char** argv) {
  foregate::keep_freed_memory();
  foregate::fill_closed_standard_streams();
  foregate::Terminal terminal;
  try {
    return foregate::run(terminal, argc, argv);
  } catch (const foregate::Error& error) {
    terminal.print_error(error.what());
    return static_cast<int>(error.exit_code());
  } catch (const std::bad_alloc&) {
    terminal.print_error(
        "out of memory; close other programs, or use smaller batches (--batch-tokens)");
  } catch (const std::exception& error) {
    terminal.print_error("internal error, please report it: " + foregate::first_line(error.what()));
  }
  return static_cast<int>(foregate::ExitCode::kFailed);
}
