#include "text/tokenizer/normalizer_steps.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "text/tokenizer/regex.h"
#include "text/unicode/unicode_forms.h"
#include "text/unicode/unicode_tables.h"
#include "text/unicode/utf8.h"

namespace foregate::text {
namespace {

class Form : public NormalizerStep {
 public:
  explicit Form(UnicodeForm form) : form_(form) {}
  bool apply(std::string_view text, std::string& result) const override {
    if (is_surely_in_form(text, form_)) return false;
    result = to_unicode_form(text, form_);
    return true;
  }

 private:
  UnicodeForm form_;
};

class Prepend : public NormalizerStep {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  bool apply(std::string_view text, std::string& result) const override {
    if (text.empty()) return false;
    result.reserve(prefix_.size() + text.size());
    result = prefix_;
    result += text;
    return true;
  }

 private:
  std::string prefix_;
};

class ReplaceString : public NormalizerStep {
 public:
  ReplaceString(std::string pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  bool apply(std::string_view text, std::string& result) const override {
    size_t match = text.find(pattern_);
    if (match == std::string_view::npos) return false;
    result.clear();
    result.reserve(text.size() + text.size() / 2);
    size_t done = 0;
    for (; match != std::string_view::npos; match = text.find(pattern_, done)) {
      result += text.substr(done, match - done);
      result += content_;
      done = match + pattern_.size();
    }
    result += text.substr(done);
    return true;
  }
  bool may_cut_front() const override { return content_.empty(); }

 private:
  std::string pattern_, content_;
};

class ReplaceRegex : public NormalizerStep {
 public:
  ReplaceRegex(Regex pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  bool apply(std::string_view text, std::string& result) const override {
    Regex::Searcher searcher(pattern_);
    auto match = searcher.find(text, 0);
    if (!match) return false;
    result.clear();
    size_t done = 0;
    for (; match; match = searcher.find(text, done)) {
      result += text.substr(done, match->begin - done);
      result += content_;
      done = match->end;
    }
    result += text.substr(done);
    return true;
  }
  bool may_cut_front() const override { return content_.empty(); }

 private:
  Regex pattern_;
  std::string content_;
};

class Strip : public NormalizerStep {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  bool apply(std::string_view text, std::string& result) const override {
    const std::string_view inner = trimmed(text);
    const auto front = static_cast<size_t>(inner.data() - text.data());
    const size_t begin = left_ ? front : 0;
    // Of a blank text nothing is left, whichever side is stripped.
    const size_t end = right_ ? (inner.empty() ? begin : front + inner.size()) : text.size();
    if (end - begin == text.size()) return false;
    result = text.substr(begin, end - begin);
    return true;
  }
  bool may_cut_front() const override { return left_; }

 private:
  bool left_, right_;
};

/// Maps every character by itself.
template <typename Append>
bool map_characters(std::string_view text, std::string& result, Append append) {
  result.clear();
  result.reserve(text.size());
  for (size_t i = 0; i < text.size();) append(next_code_point(text, i), result);
  return true;
}

class StripAccents : public NormalizerStep {
 public:
  bool apply(std::string_view text, std::string& result) const override {
    return map_characters(text, result, [](char32_t code_point, std::string& out) {
      if (!contains(mark_ranges(), code_point)) append_utf8(code_point, out);
    });
  }
  bool may_cut_front() const override { return true; }
};

class Lowercase : public NormalizerStep {
 public:
  bool apply(std::string_view text, std::string& result) const override {
    return map_characters(text, result, append_lowercase);
  }
};

std::unique_ptr<const NormalizerStep> make_replace(const JsonReader& json) {
  const JsonReader pattern = json.object("pattern");
  std::string content = json.string("content");
  if (pattern.has("Regex")) {
    return std::make_unique<ReplaceRegex>(
        Regex(pattern.string("Regex"), json.where() + ": Replace: Regex"), std::move(content));
  }
  if (!pattern.has("String")) json.fail("pattern", "an object with 'String' or 'Regex'");
  std::string text = pattern.string("String");
  if (text.empty()) pattern.fail("String", "a text that is not empty");
  return std::make_unique<ReplaceString>(std::move(text), std::move(content));
}

}  // namespace

std::unique_ptr<const NormalizerStep> make_normalizer_step(const JsonReader& json) {
  const std::string type = json.string("type");
  if (type == "NFC") return std::make_unique<Form>(UnicodeForm::kNfc);
  if (type == "NFD") return std::make_unique<Form>(UnicodeForm::kNfd);
  if (type == "NFKC") return std::make_unique<Form>(UnicodeForm::kNfkc);
  if (type == "NFKD") return std::make_unique<Form>(UnicodeForm::kNfkd);
  if (type == "Prepend") return std::make_unique<Prepend>(json.string("prepend"));
  if (type == "Replace") return make_replace(json);
  if (type == "Strip") {
    return std::make_unique<Strip>(json.boolean("strip_left", true),
                                   json.boolean("strip_right", true));
  }
  if (type == "StripAccents") return std::make_unique<StripAccents>();
  if (type == "Lowercase") return std::make_unique<Lowercase>();
  json.fail("type",
            "one of those implemented: NFC, NFD, NFKC, NFKD, Prepend, Replace, Strip, "
            "StripAccents, Lowercase, Sequence, or no normalizer");
}

}  // namespace foregate::text
