#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "base/number_text.h"
#include "commands.h"
#include "output.h"
#include "trace/export/export.h"

namespace foregate {
namespace {

constexpr const char* kFooter =
    "examples:\n"
    "  foregate export --format npy traces --output arrays\n"
    "  foregate export --format jsonl traces --output lines\n"
    "formats:\n"
    "  npy    traces.experts.npy and traces.gate_weights.npy [tokens, MoE layers, k], "
    "traces.token_ids.npy,\n"
    "         traces.offsets.npy [texts + 1], traces.meta.jsonl, export.json\n"
    "  jsonl  traces.jsonl: a text a line\n"
    "`foregate import` reads both back. Router logits and features are not exported.";

struct Arguments {
  trace::ExportOptions options;
  std::string format;
};

}  // namespace

void add_export_command(CLI::App& app, const RunContext& run) {
  auto arguments = std::make_shared<Arguments>();
  trace::ExportOptions& options = arguments->options;
  CLI::App* command = app.add_subcommand("export", "Write a trace as npy arrays or JSON lines");
  command->footer(kFooter);
  command->add_option("--format", arguments->format, "npy or jsonl")
      ->required()
      ->check(CLI::IsMember({"npy", "jsonl"}));
  command->add_option("traces", options.traces, "Trace directory")->required();
  command->add_option("-o,--output", options.output, "Folder to make")->required();
  command->callback([arguments, &run] {
    trace::ExportOptions& chosen = arguments->options;
    chosen.format =
        arguments->format == "npy" ? trace::ExportFormat::kNpy : trace::ExportFormat::kJsonl;
    const trace::ExportSummary summary = trace::export_traces(chosen, run);
    print_line(fmt::format("{}: {}, {}", chosen.output.string(), number_of(summary.traces, "trace"),
                           number_of(summary.tokens, "token")));
  });
}

}  // namespace foregate
