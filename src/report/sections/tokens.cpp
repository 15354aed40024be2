#include <fmt/format.h>

#include <algorithm>

#include "report/sections/layers.h"
#include "report/sections/sections.h"
#include "report/sections/token_text.h"

namespace foregate::report {
namespace {

constexpr size_t kShown = 6;           // Tokens of an expert on the page
constexpr size_t kWritten = 20;        // in the files
constexpr size_t kTokenExperts = 480;  // Experts of all panels together.

std::vector<stats::TypicalToken> typical_of(const stats::RoutingStatistics& statistics, int layer,
                                            int expert, size_t limit) {
  return statistics.affinity.typical(layer, expert, statistics.usage.count(layer, expert),
                                     statistics.usage.tokens(), limit);
}

void write_tokens(const ReportInput& input, TableFile& file) {
  const stats::RoutingStatistics& statistics = input.statistics;
  file.columns({{"moe_layer"},
                {"decoder_layer"},
                {"expert"},
                {"token_id"},
                {"token"},
                {"tokens"},
                {"chosen"},
                {"probability"},
                {"lift"},
                {"g2"}});
  for (int layer = 0; layer < statistics.geometry.num_moe_layers; ++layer) {
    for (int expert = 0; expert < statistics.geometry.num_experts; ++expert) {
      for (const stats::TypicalToken& token : typical_of(statistics, layer, expert, kWritten)) {
        file.row({int64_t{layer}, decoder_layer(statistics.geometry, layer), int64_t{expert},
                  int64_t{token.id}, token_label(input, token.id), token.tokens, token.chosen,
                  token.probability, token.lift, token.g2});
      }
    }
  }
}

Panel tokens_panel(const ReportInput& input, int layer) {
  const stats::RoutingStatistics& statistics = input.statistics;
  Table table{{{"expert"}}, {}};
  for (size_t i = 0; i < kShown; ++i) table.columns.push_back({fmt::format("#{}", i + 1)});
  for (int expert = 0; expert < statistics.geometry.num_experts; ++expert) {
    std::vector<Cell> row = {int64_t{expert}};
    for (const stats::TypicalToken& token : typical_of(statistics, layer, expert, kShown)) {
      row.emplace_back(fmt::format("{} {:.0f}%, {:.1f}×", shorten(token_label(input, token.id), 16),
                                   100 * token.probability, token.lift));
    }
    row.resize(kShown + 1, std::string());
    table.rows.push_back(std::move(row));
  }
  return {fmt::format("layer {}", decoder_layer(statistics.geometry, layer)), {}, std::move(table)};
}

}  // namespace

Section tokens_section(const ReportInput& input) {
  const stats::RoutingStatistics& statistics = input.statistics;
  Section section{"tokens", "Tokens", {}, "", {}};
  if (statistics.usage.tokens() == 0 || statistics.affinity.num_ids() == 0) {
    section.paragraphs = {
        statistics.usage.tokens() == 0
            ? kNoTokens
            : "No token id occurs five times, so none can be called typical of an expert."};
    return section;
  }
  Figure figure;
  figure.id = "typical-tokens";
  figure.title = "Tokens most typical of an expert";
  figure.reading = fmt::format(
      "For each expert of the chosen layer, the tokens bound to it most strongly (log-likelihood "
      "ratio), with the share of the token's occurrences that are routed to the expert, and how "
      "many times more that is than for all tokens. Counted are the {} most frequent token ids.",
      statistics.affinity.num_ids());
  if (!input.token_text)
    figure.reading += " Tokens are shown by their ids; --tokenizer names them.";
  figure.choice = "Show";
  const auto layers = static_cast<size_t>(statistics.geometry.num_moe_layers);
  const auto experts = static_cast<size_t>(statistics.geometry.num_experts);
  const std::vector<size_t> shown = spread(layers, kTokenExperts / experts);
  for (const size_t layer : shown)
    figure.panels.push_back(tokens_panel(input, static_cast<int>(layer)));
  if (shown.size() < layers) {
    figure.reading +=
        fmt::format(" Shown are {} of {} layers; --tables writes all.", shown.size(), layers);
  }
  figure.data = [&input](TableFile& file) { write_tokens(input, file); };
  section.figures.push_back(std::move(figure));
  return section;
}

}  // namespace foregate::report
