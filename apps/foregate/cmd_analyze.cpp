#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "base/files.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "commands.h"
#include "output.h"
#include "predict_options.h"
#include "report/report.h"
#include "trace/reader.h"

namespace foregate {
namespace {

constexpr const char* kFooter =
    "examples:\n"
    "  foregate analyze --traces traces --output report.html\n"
    "  foregate analyze --traces traces --predictor adapter --predictor frequency --output "
    "report.html --tables data\n"
    "The report is one HTML file that opens offline. Without --predictor it has no table of "
    "predictors.";

struct Arguments {
  std::filesystem::path traces;
  std::vector<std::string> predictors;
  std::filesystem::path output;
  std::filesystem::path tables;
  std::filesystem::path svg;
};

RoutingStatistics statistics_of(const TraceDirectory& traces) {
  Progress progress("analyze", "traces", traces.manifest().num_traces(), /*per_minute=*/true);
  RoutingStatistics statistics = compute_statistics(traces, [&](int64_t done) {
    check_interrupted("no report was written");
    progress.update(done);
  });
  progress.finish();
  return statistics;
}

void run_analyze(const Arguments& arguments) {
  const TraceDirectory traces(arguments.traces);
  if (arguments.output.has_parent_path()) make_output_directory(arguments.output.parent_path());
  ReportInput input;
  input.manifest = traces.manifest();
  input.title = fmt::format("Routing of {}", input.manifest.model);
  input.statistics = statistics_of(traces);
  if (!arguments.predictors.empty()) {
    input.evaluations.push_back(
        run_evaluation(arguments.traces, arguments.predictors, {}, "test", {}, 0));
  }
  if (!arguments.tables.empty()) {
    make_output_directory(arguments.tables);
    write_tables(input, arguments.tables);
  }
  if (!arguments.svg.empty()) {
    make_output_directory(arguments.svg);
    write_svgs(input, arguments.svg);
  }
  const std::string page = render_report(input);
  write_file_atomically(arguments.output, page);
  print_line(fmt::format("{} ({})", arguments.output.string(), human_bytes(page.size())));
}

}  // namespace

void add_analyze_command(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("analyze", "Write a report on the routing, one HTML page");
  command->footer(kFooter);
  command->add_option("--traces", arguments->traces, "Trace directory")->required();
  command
      ->add_option("--predictor", arguments->predictors,
                   "Predictor directory or name to evaluate in it, repeatable")
      ->allow_extra_args(false);
  command->add_option("-o,--output", arguments->output, "The HTML file to write")->required();
  command->add_option("--tables", arguments->tables,
                      "Folder for every chart's data as CSV and JSON");
  command->add_option("--svg", arguments->svg, "Folder for every chart as SVG");
  command->callback([arguments] { run_analyze(*arguments); });
}

}  // namespace foregate
