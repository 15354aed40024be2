#include "trace/import/open_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/half.h"
#include "base/number_text.h"
#include "trace/import/ranking.h"

namespace foregate::trace {

OpenText::OpenText(int64_t rows, int64_t last_token, size_t layers, size_t k, std::string where)
    : expected_rows_(rows),
      last_token_(last_token),
      layers_(layers),
      k_(k),
      where_(std::move(where)),
      // One more than can be complete, to name what it lacks.
      kept_(static_cast<size_t>(std::min(last_token + 1, rows / static_cast<int64_t>(layers) + 1))),
      seen_(kept_ * layers),
      layers_seen_(kept_),
      experts_(kept_ * layers * k) {}

void OpenText::add(const RoutingRow& row, size_t layer, const std::string& where) {
  ++rows_;
  if (row.token >= static_cast<int64_t>(kept_)) return;
  const size_t cell = static_cast<size_t>(row.token) * layers_ + layer;
  if (seen_[cell]) {
    throw DataError(
        fmt::format("{}: token {} at layer {} is there for the second time; expected "
                    "every (token, layer) once a text",
                    where, row.token, row.layer));
  }
  seen_[cell] = true;
  ++layers_seen_[static_cast<size_t>(row.token)];
  std::vector<uint16_t> experts = row.experts;
  std::vector<float> weights = row.weights;
  rank_by_weight(experts, weights);
  std::copy(experts.begin(), experts.end(), experts_.begin() + static_cast<long>(cell * k_));
  if (!weights.empty()) {
    weights_.resize(experts_.size());
    std::transform(weights.begin(), weights.end(), weights_.begin() + static_cast<long>(cell * k_),
                   float_to_half);
  }
  take_token(row, where);
}

void OpenText::take_token(const RoutingRow& row, const std::string& where) {
  const auto token = static_cast<size_t>(row.token);
  const bool first = layers_seen_[token] == 1;
  tokens_.kind = row.token_kind;
  bool same = true;
  if (row.token_kind == TokenIds::kTokenizer) {
    tokens_.ids.resize(kept_);
    if (first) tokens_.ids[token] = row.token_id;
    same = tokens_.ids[token] == row.token_id;
  } else if (row.token_kind == TokenIds::kHashed) {
    tokens_.names.resize(kept_);
    if (first) tokens_.names[token] = row.token_name;
    same = tokens_.names[token] == row.token_name;
  }
  if (same || !disagreement_.empty()) return;
  disagreement_ =
      fmt::format("{}: token {} at layer {} is not the one that other layers have there", where,
                  row.token, row.layer);
}

int64_t OpenText::complete_tokens() const {
  int64_t tokens = 0;
  while (tokens < static_cast<int64_t>(kept_) && is_complete(static_cast<size_t>(tokens))) ++tokens;
  return tokens;
}

std::string OpenText::problem(const std::vector<int>& moe_layers) const {
  if (!disagreement_.empty()) return disagreement_;
  const int64_t token = complete_tokens();
  if (token == num_tokens()) return "";
  const int64_t cells = num_tokens() * static_cast<int64_t>(layers_);
  // The token is one of those kept: more than rows / layers cannot be complete.
  const auto begin = seen_.begin() + static_cast<long>(static_cast<size_t>(token) * layers_);
  const auto layer = static_cast<size_t>(std::find(begin, seen_.end(), false) - begin);
  return fmt::format(
      "{}: the text that begins here has no decision of token {} at layer {} ({} of "
      "{} cells are missing)",
      where_, token, moe_layers[layer], with_commas(cells - expected_rows_), with_commas(cells));
}

void OpenText::fill(int64_t tokens, TokenNumbering& numbering, Trace& trace) const {
  const auto values = static_cast<long>(static_cast<size_t>(tokens) * layers_ * k_);
  trace.experts.assign(experts_.begin(), experts_.begin() + values);
  trace.gate_weights.clear();
  if (!weights_.empty()) {
    trace.gate_weights.assign(weights_.begin(), weights_.begin() + values);
  }
  trace.token_ids = numbering.ids(tokens_, 0, tokens);
  trace.prompt_tokens = static_cast<int32_t>(tokens);
}

}  // namespace foregate::trace
