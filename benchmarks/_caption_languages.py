"""Parts of captions in other languages: who, what and where of each."""

from __future__ import annotations

_PARTS = """\
de|Ein alter Mann;Eine junge Frau;Der Koch;Ein kleiner Hund;Die Verkäuferin|schneidet Gemüse;wartet auf den Bus;\
läuft langsam;liest eine Zeitung;trinkt Kaffee|in der Küche;am Ufer des Flusses;auf dem Marktplatz;vor dem Bahnhof
fr|Un vieil homme;Une jeune femme;Le boulanger;Un petit chien;La vendeuse|coupe des légumes;attend le bus;\
marche lentement;lit un journal;boit un café|dans la cuisine;au bord de la rivière;sur la place du marché;\
devant la gare
es|Un hombre mayor;Una mujer joven;El cocinero;Un perro pequeño;La vendedora|corta verduras;espera el autobús;\
camina despacio;lee un periódico;bebe un café|en la cocina;a la orilla del río;en la plaza del mercado;\
delante de la estación
it|Un uomo anziano;Una giovane donna;Il cuoco;Un piccolo cane;La venditrice|taglia le verdure;aspetta l'autobus;\
cammina lentamente;legge un giornale;beve un caffè|in cucina;sulla riva del fiume;nella piazza del mercato;\
davanti alla stazione
pt|Um homem idoso;Uma mulher jovem;O cozinheiro;Um cachorro pequeno;A vendedora|corta legumes;espera o ônibus;\
anda devagar;lê um jornal;bebe um café|na cozinha;à beira do rio;na praça do mercado;em frente à estação
nl|Een oude man;Een jonge vrouw;De kok;Een kleine hond;De verkoopster|snijdt groenten;wacht op de bus;loopt langzaam;\
leest een krant;drinkt koffie|in de keuken;aan de oever van de rivier;op het marktplein;voor het station
sv|En gammal man;En ung kvinna;Kocken;En liten hund;Försäljaren|skär grönsaker;väntar på bussen;går långsamt;\
läser en tidning;dricker kaffe|i köket;vid flodens strand;på torget;framför stationen
pl|Starszy mężczyzna;Młoda kobieta;Kucharz;Mały pies;Sprzedawczyni|kroi warzywa;czeka na autobus;idzie powoli;\
czyta gazetę;pije kawę|w kuchni;nad brzegiem rzeki;na rynku;przed dworcem
tr|Yaşl\u0131 bir adam;Genç bir kad\u0131n;Aşç\u0131;Küçük bir köpek;Sat\u0131c\u0131 kad\u0131n|sebze doğruyor;\
otobüs bekliyor;\
yavaşça yürüyor;gazete okuyor;kahve içiyor|mutfakta;nehir k\u0131y\u0131s\u0131nda;pazar yerinde;istasyonun önünde
ru|\u0421\u0442\u0430\u0440\u044b\u0439 \u043c\u0443\u0436\u0447\u0438\u043d\u0430;\
\u041c\u043e\u043b\u043e\u0434\u0430\u044f \u0436\u0435\u043d\u0449\u0438\u043d\u0430;\
\u041f\u043e\u0432\u0430\u0440;\
\u041c\u0430\u043b\u0435\u043d\u044c\u043a\u0430\u044f \u0441\u043e\u0431\u0430\u043a\u0430;\
\u041f\u0440\u043e\u0434\u0430\u0432\u0449\u0438\u0446\u0430|\
\u0440\u0435\u0436\u0435\u0442 \u043e\u0432\u043e\u0449\u0438;\
\u0436\u0434\u0451\u0442 \u0430\u0432\u0442\u043e\u0431\u0443\u0441;\
\u043c\u0435\u0434\u043b\u0435\u043d\u043d\u043e \u0438\u0434\u0451\u0442;\
\u0447\u0438\u0442\u0430\u0435\u0442 \u0433\u0430\u0437\u0435\u0442\u0443;\
\u043f\u044c\u0451\u0442 \u043a\u043e\u0444\u0435|\u043d\u0430 \u043a\u0443\u0445\u043d\u0435;\
\u043d\u0430 \u0431\u0435\u0440\u0435\u0433\u0443 \u0440\u0435\u043a\u0438;\
\u043d\u0430 \u0440\u044b\u043d\u043e\u0447\u043d\u043e\u0439 \u043f\u043b\u043e\u0449\u0430\u0434\u0438;\
\u043f\u0435\u0440\u0435\u0434 \u0432\u043e\u043a\u0437\u0430\u043b\u043e\u043c
zh|\u4e00\u4f4d\u8001\u4eba;\u4e00\u4e2a\u5e74\u8f7b\u5973\u4eba;\u53a8\u5e08;\
\u4e00\u53ea\u5c0f\u72d7|\u5728\u5207\u83dc;\u5728\u7b49\u516c\u4ea4\u8f66;\u6162\u6162\u5730\u8d70\u7740;\
\u5728\u770b\u62a5\u7eb8|\u5728\u53a8\u623f\u91cc;\u5728\u6cb3\u8fb9;\u5728\u5e02\u573a\u4e0a
"""
SAID_ELSEWHERE = {
    line.split("|")[0]: tuple(part.split(";") for part in line.split("|")[1:]) for line in _PARTS.splitlines()
}
