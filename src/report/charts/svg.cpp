#include "report/charts/svg.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/assets.h"
#include "report/charts/color_scale.h"
#include "report/charts/number_format.h"

namespace foregate::report {
namespace {

std::string opening(const Chart& chart, std::string_view more) {
  return fmt::format(
      "<svg {} viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\"{}><title>{}</title>"
      "<desc>{}</desc>\n",
      more, chart.width, chart.height, escape(chart.label), chart.attributes, escape(chart.label),
      escape(chart.description));
}

}  // namespace

std::string inline_svg(const Chart& chart) {
  const std::string size =
      fmt::format("class=\"chart\" style=\"width:{}px;min-width:{}px\"", chart.width,
                  std::min(chart.width, std::max(300, chart.width * 7 / 10)));
  return opening(chart, size) + chart.body + "</svg>\n";
}

std::string standalone_svg(const Chart& chart) {
  const std::string size = fmt::format(
      "xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\"", chart.width, chart.height);
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + opening(chart, size) + "<style>" +
         with_light_colors(std::string(kChartCss) + scale_css()) + "</style>\n" +
         "<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n" + chart.body + "</svg>\n";
}

std::string svg_text(double x, double y, std::string_view anchor, std::string_view text,
                     std::string_view css_class) {
  return fmt::format("<text class=\"{}\" x=\"{:.5g}\" y=\"{:.5g}\" text-anchor=\"{}\">{}</text>\n",
                     css_class, x, y, anchor, escape(text));
}

double text_width(std::string_view text) {
  const auto characters = std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  });
  return 6.8 * static_cast<double>(characters);
}

}  // namespace foregate::report
