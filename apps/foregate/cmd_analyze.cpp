#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/number_text.h"
#include "base/output_folder.h"
#include "base/run_context.h"
#include "commands.h"
#include "output.h"
#include "predict/evaluation/evaluate.h"
#include "report/report.h"
#include "simulate_gain.h"
#include "simulate_options.h"
#include "text/tokenizer/formats/tokenizer_path.h"
#include "text/tokenizer/tokenizer.h"
#include "trace/reader.h"
#include "trace/token_names.h"

namespace foregate {
namespace {

constexpr const char* kFooter =
    "examples:\n"
    "  foregate analyze --traces traces --output report.html\n"
    "  foregate analyze --traces traces --predictor adapter --predictor frequency --output "
    "report.html --tables data\n"
    "  foregate analyze --traces traces --predictor statistics --cross-domain --output "
    "report.html\n"
    "  foregate analyze --traces traces --compare traces-int8 --tokenizer model --output "
    "report.html\n"
    "  foregate analyze --traces traces --simulate --hardware rtx4090 --expert-size 17.3MB "
    "--output report.html\n"
    "The report is one HTML file that opens offline. Without --predictor it has no table of "
    "predictors, without\n"
    "--compare no comparison, and without --tokenizer it names tokens by their ids (imported "
    "traces bring their\n"
    "tokens' names along).";

constexpr int64_t kExamples = 2;  // of each dataset, to show what was foreseen

struct Arguments {
  std::filesystem::path traces;
  std::vector<std::string> predictors;
  bool cross_domain = false;
  std::filesystem::path compare;
  std::filesystem::path tokenizer;
  std::filesystem::path output;
  std::filesystem::path tables;
  std::filesystem::path svg;
  bool simulate = false;
  SimulateArguments simulation;
};

stats::RoutingStatistics statistics_of(const trace::TraceDirectory& traces, const RunContext& run) {
  const auto progress = run.progress.start({.label = "analyze",
                                            .unit = "traces",
                                            .total = traces.manifest().num_traces(),
                                            .per_minute = true});
  stats::RoutingStatistics statistics = stats::compute_statistics(traces, [&](int64_t done) {
    run.stop.check("no report was written");
    progress->update(done);
  });
  progress->finish();
  return statistics;
}

stats::TraceAgreement agreement_of(const trace::TraceDirectory& traces,
                                   const trace::TraceDirectory& other, const RunContext& run) {
  const auto progress = run.progress.start({.label = "compare",
                                            .unit = "traces",
                                            .total = traces.manifest().num_traces(),
                                            .per_minute = true});
  stats::TraceAgreement agreement = stats::compute_agreement(traces, other, [&](int64_t done) {
    run.stop.check("no report was written");
    progress->update(done);
  });
  progress->finish();
  return agreement;
}

/// What the report calls a token id; nothing if neither the trace nor the user says.
std::function<std::string(int32_t)> token_text_of(const trace::TraceDirectory& traces,
                                                  std::filesystem::path tokenizer) {
  const trace::Manifest& manifest = traces.manifest();
  if (trace::has_token_names(manifest.token_ids)) {
    const auto names = std::make_shared<trace::TokenNames>(
        trace::TokenNames::read(traces.path(), manifest.token_ids));
    return [names](int32_t id) { return names->name(id); };
  }
  if (tokenizer.empty()) return {};
  tokenizer = text::tokenizer_path(tokenizer);
  const auto loaded = std::make_shared<text::Tokenizer>(text::Tokenizer::load(tokenizer));
  if (!manifest.tokenizer_sha256.empty() &&
      text::tokenizer_digest(tokenizer) != manifest.tokenizer_sha256) {
    throw DataError(fmt::format(
        "{}: is not the tokenizer that {} was made with; give that of {}, or leave --tokenizer out",
        tokenizer.string(), traces.path().string(), manifest.model));
  }
  return [loaded](int32_t id) { return loaded->decoded_token(id); };
}

void run_analyze(const Arguments& arguments, const RunContext& run) {
  const trace::TraceDirectory traces(arguments.traces);
  std::optional<MadeFolders> folders;  // A page that is not written leaves none.
  if (arguments.output.has_parent_path()) folders.emplace(arguments.output.parent_path());
  report::ReportInput input;
  input.manifest = traces.manifest();
  input.title = fmt::format("Routing of {}", input.manifest.model);
  input.token_text = token_text_of(traces, arguments.tokenizer);
  std::optional<trace::TraceDirectory> other;  // Opened early: what is wrong with it shows at once.
  if (!arguments.compare.empty()) other.emplace(arguments.compare);
  check_hardware("--hardware", arguments.simulation, run);
  input.statistics = statistics_of(traces, run);
  if (other) {
    input.agreement = agreement_of(traces, *other, run);
    input.compared_with = arguments.compare.string();
  }
  if (!arguments.predictors.empty()) {
    predict::EvaluateOptions options;
    options.traces = arguments.traces;
    options.predictors = arguments.predictors;
    options.cross_domain = arguments.cross_domain;
    options.examples = kExamples;
    input.evaluations.push_back(predict::evaluate(options, run));
  }
  if (arguments.simulate) {
    SimulateArguments simulation = arguments.simulation;
    simulation.traces = arguments.traces;
    simulation.predictors = replayable(arguments.predictors, traces.geometry(), run);
    input.simulation = simulate_for_report(simulation, run);
  }
  if (!arguments.tables.empty()) {
    make_output_directory(arguments.tables);
    report::write_tables(input, arguments.tables);
  }
  if (!arguments.svg.empty()) {
    make_output_directory(arguments.svg);
    report::write_svgs(input, arguments.svg);
  }
  const std::string page = report::render_report(input);
  write_file_atomically(arguments.output, page);
  print_line(fmt::format("{} ({})", arguments.output.string(), human_bytes(page.size())));
}

}  // namespace

void add_analyze_command(CLI::App& app, const RunContext& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("analyze", "Write a report on the routing, one HTML page");
  command->footer(kFooter);
  command->add_option("--traces", arguments->traces, "Trace directory")->required();
  command
      ->add_option("--predictor", arguments->predictors,
                   "Predictor directory or name to evaluate in it, repeatable")
      ->allow_extra_args(false);
  command
      ->add_flag("--cross-domain", arguments->cross_domain,
                 "Also fit the predictors given by name on each dataset alone and measure them on "
                 "the test texts of every dataset")
      ->needs("--predictor");
  command->add_option("--compare", arguments->compare,
                      "Trace of the same texts, routed otherwise, to compare with");
  command->add_option("--tokenizer", arguments->tokenizer,
                      "tokenizer.json, or the model's directory, to name tokens with");
  command->add_option("-o,--output", arguments->output, "The HTML file to write")->required();
  command->add_option("--tables", arguments->tables,
                      "Folder for every chart's data as CSV and JSON");
  command->add_option("--svg", arguments->svg, "Folder for every chart as SVG");
  command->add_flag("--simulate", arguments->simulate,
                    "Also replay the trace through expert caches of many sizes");
  command
      ->add_option("--hardware", arguments->simulation.hardware,
                   "With --simulate, also the time on a card by name (" + hardware_names() +
                       ") or on the profile of a JSON file")
      ->needs("--simulate");
  command->add_option("--model", arguments->simulation.model,
                      "The model's directory, or OWNER/NAME that was pulled, for its sizes");
  add_size_options(*command, arguments->simulation);
  command->callback([arguments, &run] { run_analyze(*arguments, run); });
}

}  // namespace foregate
