#pragma once

#include <string>
#include <string_view>

namespace foregate::report {

/// A drawn chart: the inside of an <svg> and what surrounds it. Positions are in CSS pixels at the
/// chart's natural size.
struct Chart {
  std::string label;        ///< What it shows, in a few words (plain text)
  std::string description;  ///< What is to be seen, in a sentence (plain text)
  int width = 0;
  int height = 0;
  std::string attributes;  ///< Extra attributes of <svg>, already escaped
  std::string body;
};

/// For the page: styled by its CSS, scaled down to 70% at most.
std::string inline_svg(const Chart& chart);
/// A file of its own with its style inside, in the light colours.
std::string standalone_svg(const Chart& chart);

/// A <text> element. `anchor` is start, middle or end; `text` is escaped here.
std::string svg_text(double x, double y, std::string_view anchor, std::string_view text,
                     std::string_view css_class = "label");

/// About how wide `text` is drawn at the charts' 12 pixels. Never too small for Latin text.
double text_width(std::string_view text);

}  // namespace foregate::report
