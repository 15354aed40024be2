#include "text/datasets/columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <utility>

#include "base/error.h"
#include "text/unicode/utf8.h"

namespace foregate::text {
namespace {

/// Names of columns that hold texts, the likelier first.
constexpr std::array<std::string_view, 27> kTextNames{
    "text",     "content",     "review",  "review_text", "reviewtext", "review_body", "body",
    "article",  "document",    "passage", "context",     "sentence",   "comment",     "message",
    "story",    "post",        "tweet",   "description", "abstract",   "summary",     "prompt",
    "question", "instruction", "input",   "paragraph",   "utterance",  "sms"};

/// Names of columns that stand beside texts.
constexpr std::array<std::string_view, 24> kOtherNames{
    "label", "labels", "label1", "label2", "label_name", "class", "class index", "category",
    "topic", "rating", "score",  "stars",  "sentiment",  "title", "id",          "index",
    "name",  "date",   "target", "answer", "headline",   "url",   "author",      "summary_title"};

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), [](unsigned char c) { return std::tolower(c); });
  return result;
}

bool has_names(const std::vector<Column>& columns) {
  return std::ranges::any_of(columns, [](const Column& column) { return !column.name.empty(); });
}

std::optional<size_t> resolve_one(std::string_view expression, const std::vector<Column>& columns) {
  if (expression.empty()) return std::nullopt;
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].name == expression) return i;
  }
  for (size_t i = 0; i < columns.size(); ++i) {
    if (lower(columns[i].name) == lower(expression)) return i;
  }
  size_t number = 0;
  const char* end = expression.data() + expression.size();
  const auto [stop, error] = std::from_chars(expression.data(), end, number);
  if (error == std::errc() && stop == end && number < columns.size()) return number;
  return std::nullopt;
}

/// A cell as a message shows it.
std::string shown(const std::string& cell) {
  constexpr size_t kMaxBytes = 24;
  std::string text = is_valid_utf8(cell) ? cell : replace_invalid_utf8(cell);
  if (text.size() <= kMaxBytes) return fmt::format("'{}'", text);
  size_t end = kMaxBytes;
  while ((static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return fmt::format("'{}...'", text.substr(0, end));
}

std::string show_columns(const std::vector<Column>& columns) {
  constexpr size_t kMaxShown = 30, kMaxCells = 5;
  if (!has_names(columns)) {
    std::string cells;
    for (size_t i = 0; i < std::min(columns.size(), kMaxCells); ++i) {
      cells += fmt::format("{}{}", i == 0 ? "" : ", ", shown(columns[i].example));
    }
    return fmt::format("0 to {} (the file has no header; it begins with {}{})", columns.size() - 1,
                       cells, columns.size() > kMaxCells ? ", ..." : "");
  }
  std::string names;
  for (size_t i = 0; i < std::min(columns.size(), kMaxShown); ++i) {
    names += fmt::format("{}'{}'", i == 0 ? "" : ", ", columns[i].name);
  }
  return columns.size() > kMaxShown ? names + ", ..." : names;
}

ColumnChoice describe(std::vector<size_t> chosen, const std::vector<Column>& columns,
                      std::string_view remark) {
  std::string names;
  for (const size_t i : chosen) {
    if (!names.empty()) names += " + ";
    names += columns[i].name.empty() ? fmt::format("{}", i) : fmt::format("'{}'", columns[i].name);
  }
  auto text = fmt::format("column{} {}{}", chosen.size() > 1 ? "s" : "", names, remark);
  return {std::move(chosen), std::move(text)};
}

/// Throws DataError if one of the chosen columns was meant by a name that others have too.
void require_unique_names(std::string_view expression, const std::vector<size_t>& chosen,
                          const std::vector<Column>& columns, const std::string& where) {
  for (const size_t i : chosen) {
    const std::string& name = columns[i].name;
    if (name.empty() || lower(expression).find(lower(name)) == std::string::npos) continue;
    const bool exact = expression.find(name) != std::string_view::npos;
    std::string numbers;
    size_t count = 0;
    for (size_t other = 0; other < columns.size(); ++other) {
      const std::string& same = columns[other].name;
      if (exact ? same != name : lower(same) != lower(name)) continue;
      numbers += fmt::format("{}{}", count++ == 0 ? "" : ", ", other);
    }
    if (count < 2) continue;
    throw DataError(fmt::format("{}: {} columns are called '{}'; give a number: {}", where,
                                count == 2 ? "two" : fmt::format("{}", count), name, numbers));
  }
}

/// Chosen for the user, not by the user: columns that are blank throughout are no choice.
std::optional<std::vector<size_t>> resolve_filled(std::string_view expression,
                                                  const std::vector<Column>& columns) {
  auto chosen = resolve_columns(expression, columns);
  if (chosen && std::ranges::all_of(*chosen, [&](size_t i) { return columns[i].mean_size == 0; })) {
    return std::nullopt;
  }
  return chosen;
}

}  // namespace

const Preset* find_preset(std::string_view dataset) {
  static const std::array<Preset, 6> presets{{
      {"imdb", {"text", "review"}, "", false},
      {"yelp_review_full", {"text", "review"}, "", false},
      {"ag_news", {"text", "title+description"}, "1+2", false},
      {"squad", {"context", "paragraphs.context", "data.paragraphs.context"}, "", true},
      {"amazon_polarity", {"content", "text"}, "", false},
      {"dbpedia_14", {"content", "text"}, "", false},
  }};
  for (const Preset& preset : presets) {
    if (preset.name == dataset) return &preset;
  }
  return nullptr;
}

bool is_usual_column_name(std::string_view name) {
  return !name.empty() && usual_name_prefix(name).size() == name.size();
}

bool is_usual_text_name(std::string_view name) {
  return std::ranges::find(kTextNames, lower(name)) != kTextNames.end();
}

std::string_view usual_name_prefix(std::string_view cell) {
  const std::string start = lower(cell.substr(0, 32));
  size_t longest = 0;
  const auto try_name = [&](std::string_view name) {
    if (start.starts_with(name)) longest = std::max(longest, name.size());
  };
  std::ranges::for_each(kTextNames, try_name);
  std::ranges::for_each(kOtherNames, try_name);
  return cell.substr(0, longest);
}

std::optional<std::vector<size_t>> resolve_columns(std::string_view expression,
                                                   const std::vector<Column>& columns) {
  if (const auto one = resolve_one(expression, columns)) return std::vector{*one};
  std::vector<size_t> chosen;
  for (size_t begin = 0; begin <= expression.size();) {
    const size_t plus = std::min(expression.find('+', begin), expression.size());
    const auto one = resolve_one(expression.substr(begin, plus - begin), columns);
    if (!one) return std::nullopt;
    chosen.push_back(*one);
    begin = plus + 1;
  }
  return chosen;
}

ColumnChoice choose_columns(const ColumnRequest& request, const std::vector<Column>& columns) {
  if (columns.empty()) {
    throw DataError(fmt::format("{}: no column holds texts", request.where));
  }
  if (!request.column.empty()) {
    if (auto chosen = resolve_columns(request.column, columns)) {
      require_unique_names(request.column, *chosen, columns, request.where);
      return describe(std::move(*chosen), columns, "");
    }
    throw DataError(fmt::format("{}: no text column '{}'; text columns: {}", request.where,
                                request.column, show_columns(columns)));
  }
  std::vector<std::string> candidates;
  const Preset* preset = find_preset(request.dataset);
  if (has_names(columns)) {
    if (preset != nullptr) candidates = preset->columns;
    candidates.insert(candidates.end(), kTextNames.begin(), kTextNames.end());
  } else if (preset != nullptr) {
    candidates = {preset->headerless};
  }
  for (const std::string& candidate : candidates) {
    if (auto chosen = resolve_filled(candidate, columns)) {
      require_unique_names(candidate, *chosen, columns, request.where);
      return describe(std::move(*chosen), columns, "");
    }
  }
  const auto size = [](const Column& column) {
    return std::pair(!column.in_list, column.mean_size);
  };
  const auto longest = std::ranges::max_element(columns, {}, size);
  const auto index = static_cast<size_t>(longest - columns.begin());
  return describe({index}, columns, columns.size() > 1 ? " (the longest texts)" : "");
}

}  // namespace foregate::text
