#include "trace/import/engine_join.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"

namespace foregate::trace {
namespace {

using Count = std::optional<int64_t>;

/// What is known of the tokens of a text.
struct KnownTokens {
  TokenList list;  ///< of the prompt and of what was generated, if both are named
  Count prompt;    ///< how many
  Count generated;
  Count all;
};

TokenList joined(TokenList first, const TokenList& second) {
  if (first.kind != second.kind) return {};
  first.ids.insert(first.ids.end(), second.ids.begin(), second.ids.end());
  first.names.insert(first.names.end(), second.names.begin(), second.names.end());
  return first;
}

TokenList part_of(const TokenList& list, int64_t first, int64_t count) {
  TokenList part;
  if (!list.size()) return part;
  part.kind = list.kind;
  const auto cut = [&](const auto& from, auto& to) {
    if (from.empty()) return;
    to.assign(from.begin() + first, from.begin() + first + count);
  };
  cut(list.ids, part.ids);
  cut(list.names, part.names);
  return part;
}

KnownTokens known_tokens(const EngineText& text) {
  KnownTokens tokens;
  tokens.prompt = text.prompt.size() ? text.prompt.size() : text.prompt_count;
  tokens.generated = text.generated.size() ? text.generated.size() : text.generated_count;
  if (text.all.size()) {
    tokens.list = text.all;
    tokens.all = text.all.size();
    tokens.generated = std::nullopt;
    return tokens;
  }
  if (text.prompt.size() && text.generated.size()) {
    // An empty list of ids has no kind of its own.
    tokens.list = *text.prompt.size() == 0      ? text.generated
                  : *text.generated.size() == 0 ? text.prompt
                                                : joined(text.prompt, text.generated);
  } else if (text.prompt.size() && !tokens.generated) {
    tokens.list = text.prompt;
  }
  if (tokens.prompt && tokens.generated) tokens.all = *tokens.prompt + *tokens.generated;
  return tokens;
}

/// Whether `rows` rows are those of `tokens` tokens, the last of which may not have been run.
bool explains(Count tokens, int64_t rows) {
  return tokens && (rows == *tokens || rows + 1 == *tokens);
}

[[noreturn]] void fail_unexplained(const EngineText& text, const KnownTokens& tokens,
                                   int64_t rows) {
  std::string known = tokens.all         ? fmt::format("{} tokens", *tokens.all)
                      : tokens.generated ? fmt::format("{} generated tokens", *tokens.generated)
                                         : fmt::format("{} tokens of the prompt", *tokens.prompt);
  if (tokens.all && tokens.prompt && tokens.generated) {
    known += fmt::format(" ({} of the prompt, {} generated)", *tokens.prompt, *tokens.generated);
  }
  throw DataError(fmt::format(
      "{}: {}, but routing of {}{}; expected a row for every token, the last "
      "one may lack it",
      text.where, known, rows, text.start > 0 ? fmt::format(" from token {} on", text.start) : ""));
}

/// The rows [0, rows) of the block are the text's tokens [first, first + rows).
void take_tokens(const KnownTokens& tokens, int64_t first, JoinedText& result) {
  const int64_t rows = result.block.tokens;
  result.tokens = part_of(tokens.list, first, rows);
  result.unrun = tokens.all ? *tokens.all - first - rows : 0;
  const int64_t prompt = tokens.prompt.value_or(tokens.generated ? 0 : rows + first);
  result.prompt = std::clamp<int64_t>(prompt - first, 0, rows);
}

void take_generation(const EngineText& text, const KnownTokens& tokens, JoinedText& result) {
  const int64_t rows = result.block.tokens;
  result.tokens = part_of(text.generated, 0, rows);
  result.unrun = *tokens.generated - rows;
  result.unrouted_prompt = tokens.prompt.value_or(0);
}

/// The record does not say what was generated.
void take_unnamed(const EngineText& text, const KnownTokens& tokens, JoinedText& result) {
  const int64_t rows = result.block.tokens;
  const int64_t end = text.start + rows;
  result.prompt = std::clamp<int64_t>(tokens.prompt.value_or(end) - text.start, 0, rows);
  if (explains(tokens.prompt, end)) {  // The prompt alone.
    result.tokens = part_of(text.prompt, text.start, rows);
    result.unrun = *tokens.prompt - end;
  } else if (tokens.prompt && (!text.response || end < *tokens.prompt)) {
    fail_unexplained(text, tokens, rows);
  }
}

/// The token of the first row, if the rows go from there to the end. Servers that do not know the
/// request's start return the rows of all tokens; none runs the last token.
Count first_token(const EngineText& text, const KnownTokens& tokens, int64_t rows) {
  if (!tokens.all) return std::nullopt;
  for (const int64_t unrun : {1, 0}) {
    for (const int64_t first : {text.start, int64_t{0}}) {
      if (first + rows + unrun == *tokens.all) return first;
    }
  }
  return std::nullopt;
}

void take_rows(const EngineText& text, const KnownTokens& tokens, JoinedText& result) {
  const int64_t rows = result.block.tokens;
  if (const auto first = first_token(text, tokens, rows)) {
    return take_tokens(tokens, *first, result);
  }
  if (text.start == 0 && tokens.generated && explains(tokens.generated, rows)) {
    return take_generation(text, tokens, result);
  }
  if (!tokens.all && !tokens.generated) return take_unnamed(text, tokens, result);
  const bool more = tokens.all ? rows > *tokens.all : rows > tokens.generated.value_or(rows);
  if (!text.response || !more) fail_unexplained(text, tokens, rows);
  result.misfit = true;
  result.prompt = std::min(tokens.prompt.value_or(0), rows);
}

RoutingBlock read_part(const Json& value, const EngineText& text, std::vector<int64_t> rows,
                       const ArrayForm& form) {
  return read_routing(value, {.where = text.where, .dtype = text.dtype, .rows = std::move(rows)},
                      form);
}

bool same_beginning(const RoutingBlock& whole, const RoutingBlock& part) {
  return std::equal(part.experts.begin(), part.experts.end(), whole.experts.begin());
}

/// The prompt's rows stand apart.
void join_parts(const EngineText& text, const KnownTokens& tokens, RoutingBlock prompt,
                JoinedText& result) {
  RoutingBlock& rest = result.block;
  const bool empty = rest.tokens == 0;
  const int64_t prompt_rows = prompt.tokens;
  if (!rest.weights.empty()) {
    throw DataError(fmt::format(
        "{}: gate weights beside 'prompt_routed_experts'; expected them for all rows or none",
        text.where));
  }
  if (!empty && (rest.layers != prompt.layers || rest.k != prompt.k)) {
    throw DataError(fmt::format(
        "{}: 'prompt_routed_experts' has {} layers and {} experts a decision, the rest {} and {}",
        text.where, prompt.layers, prompt.k, rest.layers, rest.k));
  }
  if (text.start == 0 && tokens.prompt && prompt.tokens != *tokens.prompt) {
    throw DataError(fmt::format("{}: {} tokens of the prompt, but 'prompt_routed_experts' of {}",
                                text.where, *tokens.prompt, prompt.tokens));
  }
  // Some versions repeat the prompt's rows in front of the generation's.
  const bool repeated = !explains(tokens.generated, rest.tokens) &&
                        explains(tokens.all, rest.tokens) && rest.tokens >= prompt.tokens &&
                        same_beginning(rest, prompt);
  if (!repeated) {
    if (tokens.generated && !explains(tokens.generated, rest.tokens)) {
      fail_unexplained(text, tokens, prompt.tokens + rest.tokens);
    }
    if (empty) {
      rest = std::move(prompt);
    } else {
      prompt.append(rest);
      rest = std::move(prompt);
    }
  }
  KnownTokens of_parts = tokens;
  of_parts.prompt = prompt_rows + text.start;
  if (!tokens.all && tokens.generated) of_parts.all = *of_parts.prompt + *tokens.generated;
  take_tokens(of_parts, text.start, result);
}

}  // namespace

std::vector<int64_t> possible_rows(const EngineText& text) {
  const KnownTokens tokens = known_tokens(text);
  std::vector<int64_t> rows;
  for (const int64_t unrun : {1, 0}) {
    if (!tokens.all) break;
    rows.push_back(*tokens.all - text.start - unrun);
    if (text.start > 0) rows.push_back(*tokens.all - unrun);
  }
  if (tokens.generated && text.start == 0) {
    rows.push_back(*tokens.generated - 1);
    rows.push_back(*tokens.generated);
  }
  if (!tokens.all && !tokens.generated && tokens.prompt) rows.push_back(*tokens.prompt);
  std::erase_if(rows, [](int64_t n) { return n <= 0; });
  return rows;
}

JoinedText join_text(const EngineText& text, const ArrayForm& form) {
  const KnownTokens tokens = known_tokens(text);
  if (text.start < 0 || (tokens.all && text.start > *tokens.all)) {
    throw DataError(
        fmt::format("{}: the rows begin at token {}; expected 0 to the number of tokens",
                    text.where, text.start));
  }
  if (tokens.all && tokens.prompt > tokens.all) {
    throw DataError(fmt::format("{}: {} tokens of the prompt among {} tokens", text.where,
                                *tokens.prompt, *tokens.all));
  }
  JoinedText result;
  if (text.routing != nullptr) {
    result.block = read_part(*text.routing, text, possible_rows(text), form);
    if (text.weights != nullptr) read_weights(*text.weights, text.where, result.block);
  }
  if (text.prompt_routing != nullptr) {
    std::vector<int64_t> rows;
    if (tokens.prompt) rows.push_back(*tokens.prompt - text.start);
    join_parts(text, tokens, read_part(*text.prompt_routing, text, rows, form), result);
    return result;
  }
  take_rows(text, tokens, result);
  return result;
}

}  // namespace foregate::trace
