#include "report/page/page.h"

#include <fmt/format.h>

#include "report/assets.h"
#include "report/charts/color_scale.h"
#include "report/charts/number_format.h"

namespace foregate::report {
namespace {

std::string head(const std::string& title) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{}</title>\n<style>\n{}{}{}{}</style>\n</head>\n",
      escape(title), palette_css(), kChartCss, scale_css(), kPageCss);
}

std::string navigation(const std::vector<Section>& sections) {
  std::string html = "<nav id=\"menu\" aria-label=\"Sections\">\n";
  for (const Section& section : sections)
    html += fmt::format("<a href=\"#{}\">{}</a>\n", escape(section.id), escape(section.title));
  return html + "</nav>\n";
}

}  // namespace

std::string render_page(const std::string& title, const std::string& subtitle,
                        const std::vector<Section>& sections) {
  std::string html = head(title);
  html += fmt::format(
      "<body>\n<header>\n<div><h1>{}</h1>\n<p>{}</p></div>\n"
      "<button type=\"button\" id=\"theme\" hidden>Dark</button>\n</header>\n",
      escape(title), escape(subtitle));
  html += navigation(sections) + "<main>\n";
  for (const Section& section : sections) html += to_html(section);
  html += "</main>\n<footer>Made by foregate analyze.</footer>\n";
  html +=
      "<a class=\"to-menu\" href=\"#menu\">Menu</a>\n";  // where the menu does not stay in sight
  html += "<div id=\"tip\" role=\"status\" hidden></div>\n";
  return html + "<script>\n" + kPageScript + "</script>\n</body>\n</html>\n";
}

}  // namespace foregate::report
