#include <fmt/format.h>

#include <utility>

#include "base/number_text.h"
#include "report/charts/number_format.h"
#include "report/sections/sections.h"

namespace foregate::report {
namespace {

using Facts = std::vector<std::pair<std::string, std::string>>;

std::string or_unknown(const std::string& text) {
  return text.empty() ? "unknown" : text;
}

Facts facts_of(const ReportInput& input) {
  const trace::Manifest& manifest = input.manifest;
  const stats::RoutingStatistics& statistics = input.statistics;
  const trace::Geometry& geometry = statistics.geometry;
  const int64_t tokens = statistics.usage.tokens();
  Facts facts = {
      {"Model", or_unknown(manifest.model)},
      {"Architecture", or_unknown(manifest.model_type)},
      {"Routing", fmt::format("{} of {} experts in {}", geometry.top_k, geometry.num_experts,
                              number_of(geometry.num_moe_layers, "MoE layer"))},
      {"Computed in", manifest.quantization == "none"
                          ? manifest.dtype
                          : fmt::format("{}, {} weights", manifest.dtype, manifest.quantization)},
      {"Traces", with_commas(statistics.traces)},
      {"Tokens", with_commas(tokens)},
      {"Routing decisions", with_commas(tokens * geometry.num_moe_layers)},
      {"Datasets", with_commas(static_cast<int64_t>(statistics.datasets.size()))},
      {"Tokens a trace",
       statistics.traces == 0
           ? "–"
           : fmt::format("{:.1f} on average",
                         static_cast<double>(tokens) / static_cast<double>(statistics.traces))},
      {"Cut at",
       manifest.max_length > 0 ? with_commas(manifest.max_length) + " tokens" : "not cut"},
      {"Seed", std::to_string(manifest.seed)},
  };
  if (!manifest.complete) facts.emplace_back("Note", "The trace is unfinished");
  return facts;
}

}  // namespace

Section overview_section(const ReportInput& input) {
  Section section{"overview", "Overview", {}, "", {}};
  section.html = "<h3>What stands out</h3>\n<ul class=\"findings\">\n";
  for (const std::string& sentence : findings(input))
    section.html += fmt::format("<li>{}</li>\n", escape(sentence));
  section.html += "</ul>\n<h3>The trace</h3>\n<dl class=\"facts\">\n";
  for (const auto& [name, value] : facts_of(input))
    section.html += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(name), escape(value));
  section.html +=
      "</dl>\n<p class=\"note\">Layers are MoE layers, named by their place among the decoder "
      "layers, counted from 0. A decision is the top-k experts of one token at one MoE layer; it "
      "makes k choices.</p>\n";
  return section;
}

}  // namespace foregate::report
